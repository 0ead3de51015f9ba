// The echo test: three seconds of the microphone, then played back.
import { prefs } from "./prefs";
import { routeToSpeaker } from "./devices";

export type EchoState = "idle" | "recording" | "playing" | "done" | "failed";
export const echoMs = 3000;

function record(track: MediaStreamTrack, ms: number, signal: AbortSignal): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const recorder = new MediaRecorder(new MediaStream([track.clone()]));
    const parts: Blob[] = [];
    recorder.ondataavailable = (e) => parts.push(e.data);
    recorder.onerror = () => reject(new Error("recorder"));
    recorder.onstop = () => {
      recorder.stream.getTracks().forEach((t) => t.stop());
      resolve(new Blob(parts, { type: recorder.mimeType }));
    };
    const stop = () => recorder.state !== "inactive" && recorder.stop();
    signal.addEventListener("abort", stop);
    recorder.start();
    setTimeout(stop, ms);
  });
}

async function play(blob: Blob, signal: AbortSignal): Promise<void> {
  const audio = new Audio(URL.createObjectURL(blob));
  try {
    await routeToSpeaker(audio, prefs.value.speaker);
    await new Promise<void>((resolve, reject) => {
      audio.onended = () => resolve();
      audio.onerror = () => reject(new Error("playback"));
      signal.addEventListener("abort", () => resolve());
      audio.play().catch(reject);
    });
  } finally {
    audio.pause();
    URL.revokeObjectURL(audio.src);
  }
}

export async function runEcho(
  track: MediaStreamTrack,
  signal: AbortSignal,
  onState: (s: EchoState) => void,
): Promise<void> {
  try {
    onState("recording");
    const blob = await record(track, echoMs, signal);
    if (signal.aborted) return;
    onState("playing");
    await play(blob, signal);
    if (!signal.aborted) onState("done");
  } catch {
    onState("failed");
  }
}

// A short tone, to hear whether the speaker is the right one.
export async function playTone(speaker: string): Promise<void> {
  const context = new AudioContext();
  const gain = context.createGain();
  const out = context.createMediaStreamDestination();
  gain.connect(out);
  const audio = new Audio();
  audio.srcObject = out.stream;
  await routeToSpeaker(audio, speaker);
  await audio.play();
  [523.25, 659.25, 783.99].forEach((hertz, i) => {
    const at = context.currentTime + 0.05 + i * 0.18;
    const tone = context.createOscillator();
    tone.frequency.value = hertz;
    tone.connect(gain);
    tone.start(at);
    tone.stop(at + 0.16);
  });
  gain.gain.setValueAtTime(0.12, context.currentTime);
  gain.gain.linearRampToValueAtTime(0, context.currentTime + 0.8);
  setTimeout(() => void context.close(), 1200);
}
