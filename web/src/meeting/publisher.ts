// The publishing connection: this client offers, the server answers. Each source has one m-line that stays; muting takes
// the track off its sender, so nothing is sent, and tells the server. Offers run one after the other.
import type { IceServer, Source, Track } from "../app/types";
import type { AnswerFrame } from "./frames";
import type { Signal } from "./signal";
import { withOpusSettings } from "./sdp";

interface Slot {
  source: Source;
  transceiver: RTCRtpTransceiver;
  track: MediaStreamTrack | null;
  isMuted: boolean;
  isPublished: boolean; // wanted in the offer
  isOffered: boolean; // stands in the offer under way, or in the last one
  trackId: string;
  toldMuted: boolean | null; // what the server last heard
}

const cameraLayers = [
  { rid: "q", maxBitrate: 150_000 },
  { rid: "h", maxBitrate: 500_000 },
  { rid: "f", maxBitrate: 1_700_000 },
];
// Chromium sends but the lower layers of a small picture: two below this many pixels, one below that many. They have to
// be those that hold the whole of it.
const threeLayersPixels = 960 * 540;
const twoLayersPixels = 480 * 270;

export function cameraEncodings(width = 1280, height = 720): RTCRtpEncodingParameters[] {
  const pixels = width * height;
  const best = pixels >= threeLayersPixels ? 2 : pixels >= twoLayersPixels ? 1 : 0;
  return cameraLayers.map((layer, i) => ({ ...layer, active: i <= best, scaleResolutionDownBy: 2 ** Math.max(0, best - i) }));
}

const encodings: Record<Exclude<Source, "camera">, RTCRtpEncodingParameters[]> = {
  microphone: [{ maxBitrate: 48_000, priority: "high", networkPriority: "high" }],
  screen: [{ maxBitrate: 2_500_000, maxFramerate: 30 }],
  screen_audio: [{ maxBitrate: 128_000 }],
};

function encodingsFor(source: Source, track: MediaStreamTrack | null): RTCRtpEncodingParameters[] {
  if (source !== "camera") return encodings[source];
  const { width, height } = track?.getSettings() ?? {};
  return cameraEncodings(width, height);
}

const restartAfterMs = 3_000;

export class Publisher {
  readonly pc: RTCPeerConnection;
  private slots = new Map<Source, Slot>();
  private running: Promise<void> | null = null;
  private isAgain = false;
  private isClosed = false;
  private restartTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly signal: Signal,
    iceServers: IceServer[],
    private readonly onTracks: (tracks: Track[]) => void,
    private readonly onConnection: (state: RTCPeerConnectionState) => void,
  ) {
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.pc.onconnectionstatechange = () => this.onConnectionState();
  }

  // Publishes a source, or gives it another track: a change of device needs no new offer.
  async publish(source: Source, track: MediaStreamTrack | null, isMuted: boolean): Promise<void> {
    let slot = this.slots.get(source);
    if (!slot) {
      const kind = source === "microphone" || source === "screen_audio" ? "audio" : "video";
      const transceiver = this.pc.addTransceiver(kind, { direction: "sendonly", sendEncodings: encodingsFor(source, track) });
      slot = { source, transceiver, track: null, isMuted, isPublished: false, isOffered: false, trackId: "", toldMuted: null };
      this.slots.set(source, slot);
    }
    slot.track = track;
    slot.isMuted = isMuted;
    if (!slot.isPublished) slot.transceiver.direction = "sendonly";
    slot.isPublished = true;
    await slot.transceiver.sender.replaceTrack(isMuted ? null : track);
    if (source === "camera" && track) await this.fitLayers(slot.transceiver.sender, track);
    if (!slot.isOffered) return this.negotiate();
    await this.running;
    await this.tellMuted(slot);
  }

  // Another camera may have another size.
  private async fitLayers(sender: RTCRtpSender, track: MediaStreamTrack): Promise<void> {
    const wanted = encodingsFor("camera", track);
    const parameters = sender.getParameters();
    const isSame = parameters.encodings.every(
      (e, i) => e.active === wanted[i]?.active && e.scaleResolutionDownBy === wanted[i]?.scaleResolutionDownBy,
    );
    if (isSame || parameters.encodings.length !== wanted.length) return;
    parameters.encodings = parameters.encodings.map((e, i) => ({ ...e, ...wanted[i] }));
    await sender.setParameters(parameters).catch(() => undefined); // the sizes of before do as well
  }

  async setMuted(source: Source, isMuted: boolean): Promise<void> {
    const slot = this.slots.get(source);
    if (!slot) return;
    slot.isMuted = isMuted;
    await slot.transceiver.sender.replaceTrack(isMuted ? null : slot.track);
    await this.tellMuted(slot);
  }

  // The server holds a track back at a host's wish: what it last heard is no longer what holds.
  heldBack(source: Source): void {
    const slot = this.slots.get(source);
    if (slot) slot.toldMuted = true;
  }

  async unpublish(source: Source): Promise<void> {
    const slot = this.slots.get(source);
    if (!slot?.isPublished) return;
    slot.isPublished = slot.isOffered = false;
    slot.track = null;
    slot.trackId = "";
    slot.toldMuted = null;
    slot.transceiver.direction = "inactive";
    await slot.transceiver.sender.replaceTrack(null);
    await this.negotiate();
  }

  trackIdOf(source: Source): string {
    return this.slots.get(source)?.trackId ?? "";
  }

  // Makes offer and answer agree with the slots. Calls while one runs lead to one more at its end.
  negotiate(): Promise<void> {
    this.isAgain = true;
    this.running ??= this.negotiateAll().finally(() => (this.running = null));
    return this.running;
  }

  // The socket came back: whatever was under way is done anew.
  async resume(): Promise<void> {
    for (const slot of this.slots.values()) slot.toldMuted = null;
    if (this.pc.signalingState !== "stable" || this.isAgain) await this.negotiate();
    for (const slot of this.slots.values()) if (slot.isPublished) await this.tellMuted(slot);
    if (this.pc.connectionState === "failed" || this.pc.connectionState === "disconnected") await this.restart();
  }

  async restart(): Promise<void> {
    if (this.isClosed || !this.slots.size) return;
    this.pc.restartIce();
    await this.negotiate();
  }

  close(): void {
    this.isClosed = true;
    if (this.restartTimer) clearTimeout(this.restartTimer);
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  private async negotiateAll(): Promise<void> {
    while (this.isAgain && !this.isClosed) {
      this.isAgain = false;
      try {
        await this.negotiateOnce();
      } catch (error) {
        if (this.isClosed) return;
        // Without a socket the offer waits for resume(); anything else is worth knowing.
        if (!this.signal.isOpen) {
          this.isAgain = true;
          return;
        }
        await this.takeBack();
        throw error;
      }
    }
  }

  // The server refused the offer: what it never took is not published.
  private async takeBack(): Promise<void> {
    if (this.pc.signalingState === "have-local-offer") await this.pc.setLocalDescription({ type: "rollback" });
    for (const slot of this.slots.values()) {
      if (slot.trackId) continue;
      slot.isPublished = slot.isOffered = false;
      slot.transceiver.direction = "inactive";
    }
  }

  private async negotiateOnce(): Promise<void> {
    for (const slot of this.slots.values()) slot.isOffered = slot.isPublished;
    await this.pc.setLocalDescription(await this.pc.createOffer());
    const slots = [...this.slots.values()].filter((s) => s.isOffered && s.transceiver.mid !== null);
    const muted = slots.map((s) => s.isMuted);
    const answer = (await this.signal.request("offer", {
      sdp: this.pc.localDescription?.sdp ?? "",
      tracks: slots.map((s, i) => ({ mid: s.transceiver.mid, source: s.source, is_muted: muted[i] })),
    })) as unknown as AnswerFrame;
    if (this.isClosed) return;
    const isStereo = slots.filter((s) => s.source === "screen_audio").map((s) => s.transceiver.mid ?? "");
    await this.pc.setRemoteDescription({ type: "answer", sdp: withOpusSettings(answer.sdp, isStereo) });
    const tracks = answer.tracks ?? [];
    slots.forEach((slot, i) => {
      const track = tracks.find((t) => t.mid === slot.transceiver.mid);
      if (!track) return;
      slot.trackId = track.id;
      slot.toldMuted = muted[i] ?? null;
      void this.tellMuted(slot);
    });
    this.onTracks(tracks);
  }

  private async tellMuted(slot: Slot): Promise<void> {
    if (!slot.trackId || slot.toldMuted === slot.isMuted) return;
    slot.toldMuted = slot.isMuted;
    try {
      await this.signal.request("set_muted", { track_id: slot.trackId, is_muted: slot.isMuted });
    } catch {
      slot.toldMuted = null; // told again by resume()
    }
  }

  private onConnectionState(): void {
    const state = this.pc.connectionState;
    this.onConnection(state);
    if (this.restartTimer) clearTimeout(this.restartTimer);
    if (state === "failed") void this.restart().catch(() => undefined);
    else if (state === "disconnected")
      this.restartTimer = setTimeout(() => void this.restart().catch(() => undefined), restartAfterMs);
  }
}
