// The machine's microphones, cameras and speakers, and the tracks opened on them. One microphone and one camera at a
// time, shared by prejoin, meeting and settings. `micTrack` exists while the microphone is captured, muted or not (so we
// can say "you are muted" to somebody who talks); a camera that is off is not captured at all, so its light goes out.
import { batch, signal } from "@preact/signals";
import { prefs, setPrefs } from "./prefs";

export type Kind = "microphone" | "camera";
// Why a device gives nothing. "insecure": browsers offer no devices to pages without TLS.
export type Problem = "denied" | "blocked" | "missing" | "busy" | "insecure" | "unplugged" | "failed";

export interface DeviceLists {
  microphones: MediaDeviceInfo[];
  cameras: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
}

export const deviceLists = signal<DeviceLists>({ microphones: [], cameras: [], speakers: [] });
export const micTrack = signal<MediaStreamTrack | null>(null);
export const cameraTrack = signal<MediaStreamTrack | null>(null);
export const micProblem = signal<Problem | null>(null);
export const cameraProblem = signal<Problem | null>(null);
// A browser's question is open: we say what to answer.
export const isAsking = signal(false);

const tracks = { microphone: micTrack, camera: cameraTrack };
const problems = { microphone: micProblem, camera: cameraProblem };
const opening: Record<Kind, Promise<MediaStreamTrack | null> | null> = { microphone: null, camera: null };
type Listener = (kind: Kind, fallback: string | null) => void;
let onUnplugged: Listener = () => undefined;

// Called when a device in use disappears; `fallback` names the one that took over.
export function listenUnplugged(listener: Listener): void {
  onUnplugged = listener;
}

export function canChooseSpeaker(): boolean {
  return "setSinkId" in HTMLMediaElement.prototype;
}

function constraints(kind: Kind, deviceId: string): MediaStreamConstraints {
  const id = deviceId ? { deviceId: { exact: deviceId } } : {};
  if (kind === "camera") {
    // A phone without a choice of ours shows the face, not what is behind it.
    const facing = deviceId ? {} : { facingMode: "user" };
    const size = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
    return { video: { ...id, ...facing, ...size } };
  }
  return {
    audio: { ...id, echoCancellation: true, autoGainControl: true, noiseSuppression: prefs.value.isNoiseSuppressed },
  };
}

async function problemOf(error: unknown, kind: Kind): Promise<Problem> {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "missing";
  if (name === "NotReadableError" || name === "AbortError") return "busy";
  if (name !== "NotAllowedError" && name !== "SecurityError") return "failed";
  try {
    const status = await navigator.permissions.query({ name: kind as PermissionName });
    return status.state === "denied" ? "blocked" : "denied";
  } catch {
    return "denied";
  }
}

function adoptTrack(kind: Kind, track: MediaStreamTrack): void {
  const former = tracks[kind].value;
  batch(() => {
    tracks[kind].value = track;
    problems[kind].value = null;
  });
  former?.stop();
  track.addEventListener("ended", () => void replaceLost(kind, track));
}

// The device went away under us: take another if there is one.
async function replaceLost(kind: Kind, track: MediaStreamTrack): Promise<void> {
  if (tracks[kind].value !== track) return;
  tracks[kind].value = null;
  await refreshLists();
  const other = await open(kind, "");
  if (!other) problems[kind].value = "unplugged";
  onUnplugged(kind, other?.label ?? null);
}

async function request(kind: Kind, deviceId: string): Promise<MediaStreamTrack> {
  const stream = await navigator.mediaDevices.getUserMedia(constraints(kind, deviceId));
  const track = stream.getTracks()[0];
  if (!track) throw new DOMException("no track", "NotFoundError");
  return track;
}

async function openNow(kind: Kind, deviceId: string): Promise<MediaStreamTrack | null> {
  if (!(navigator.mediaDevices as MediaDevices | undefined)) {
    problems[kind].value = "insecure";
    return null;
  }
  isAsking.value = true;
  try {
    let track: MediaStreamTrack;
    try {
      track = await request(kind, deviceId);
    } catch (error) {
      // The remembered device is not here today: any other will do.
      const isGone = error instanceof DOMException && ["OverconstrainedError", "NotFoundError"].includes(error.name);
      if (!deviceId || !isGone) throw error;
      track = await request(kind, "");
    }
    adoptTrack(kind, track);
    void refreshLists();
    return track;
  } catch (error) {
    problems[kind].value = await problemOf(error, kind);
    return null;
  } finally {
    isAsking.value = false;
  }
}

// Opens the device (default: the remembered one). One at a time per kind: a second call waits for the first.
export async function open(kind: Kind, deviceId: string = prefs.value[kind]): Promise<MediaStreamTrack | null> {
  await opening[kind];
  const run = openNow(kind, deviceId);
  opening[kind] = run;
  try {
    return await run;
  } finally {
    if (opening[kind] === run) opening[kind] = null;
  }
}

// Both at once, so that the browser asks once.
export async function openBoth(): Promise<void> {
  if (!(navigator.mediaDevices as MediaDevices | undefined)) {
    micProblem.value = cameraProblem.value = "insecure";
    return;
  }
  isAsking.value = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      ...constraints("microphone", prefs.value.microphone),
      ...constraints("camera", prefs.value.camera),
    });
    for (const track of stream.getTracks()) adoptTrack(track.kind === "audio" ? "microphone" : "camera", track);
    void refreshLists();
  } catch {
    // One of the two may still be had; each says what ails it.
    await open("microphone");
    await open("camera");
  } finally {
    isAsking.value = false;
  }
}

export function close(kind: Kind): void {
  const track = tracks[kind].value;
  tracks[kind].value = null;
  track?.stop();
}

export function closeAll(): void {
  close("microphone");
  close("camera");
}

export async function choose(kind: Kind, deviceId: string): Promise<void> {
  setPrefs({ [kind]: deviceId });
  if (tracks[kind].value || problems[kind].value) await open(kind, deviceId);
}

export async function setNoiseSuppressed(isNoiseSuppressed: boolean): Promise<void> {
  setPrefs({ isNoiseSuppressed });
  try {
    await micTrack.value?.applyConstraints(constraints("microphone", "").audio as MediaTrackConstraints);
  } catch {
    if (micTrack.value) await open("microphone");
  }
}

export async function refreshLists(): Promise<void> {
  if (!(navigator.mediaDevices as MediaDevices | undefined)) return;
  const all = await navigator.mediaDevices.enumerateDevices();
  const of = (kind: MediaDeviceKind) => all.filter((d) => d.kind === kind && d.deviceId !== "");
  deviceLists.value = { microphones: of("audioinput"), cameras: of("videoinput"), speakers: of("audiooutput") };
}

if (typeof navigator !== "undefined" && (navigator.mediaDevices as MediaDevices | undefined))
  navigator.mediaDevices.addEventListener("devicechange", () => void refreshLists());

// Sends an element's sound to the chosen speaker; one that is gone means the default.
export async function routeToSpeaker(element: HTMLMediaElement, speaker: string): Promise<void> {
  if (!canChooseSpeaker()) return;
  const isHere = speaker === "" || deviceLists.value.speakers.some((d) => d.deviceId === speaker);
  try {
    const id = isHere ? speaker : "";
    if (element.sinkId !== id) await element.setSinkId(id);
  } catch {
    // the default stays
  }
}
