// The subscribing connection: the server offers, this client answers, and learns from `places` which m-line carries
// which track.
import type { IceServer } from "../app/types";
import type { OfferFrame } from "./frames";
import { withStereoDecoding } from "./sdp";
import type { Signal } from "./signal";

const restartAfterMs = 3_000;
const restartEveryMs = 8_000;

export class Subscriber {
  readonly pc: RTCPeerConnection;
  private offers: OfferFrame[] = [];
  private isAnswering = false;
  private isClosed = false;
  private restartTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly signal: Signal,
    iceServers: IceServer[],
    private readonly onTracks: (tracks: Map<string, MediaStreamTrack>) => void,
    private readonly onConnection: (state: RTCPeerConnectionState) => void,
  ) {
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.pc.onconnectionstatechange = () => this.onConnectionState();
  }

  onOffer(offer: OfferFrame): void {
    this.offers.push(offer);
    void this.answerAll();
  }

  // After the socket came back. An offer whose answer got lost is sent again by the server; the way may be lost as well.
  async resume(): Promise<void> {
    const state = this.pc.connectionState;
    if (state === "failed" || state === "disconnected") await this.restart();
  }

  async restart(): Promise<void> {
    if (this.isClosed || !this.pc.remoteDescription) return;
    await this.signal.request("restart_subscriber");
  }

  close(): void {
    this.isClosed = true;
    if (this.restartTimer) clearTimeout(this.restartTimer);
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  private async answerAll(): Promise<void> {
    if (this.isAnswering) return;
    this.isAnswering = true;
    try {
      for (let offer = this.offers.shift(); offer && !this.isClosed; offer = this.offers.shift())
        await this.answer(offer).catch((error: unknown) => console.warn("answering the offer failed", error));
    } finally {
      this.isAnswering = false;
    }
  }

  private async answer(offer: OfferFrame): Promise<void> {
    await this.pc.setRemoteDescription({ type: "offer", sdp: offer.sdp });
    const answer = await this.pc.createAnswer();
    await this.pc.setLocalDescription({ type: "answer", sdp: withStereoDecoding(answer.sdp ?? "") });
    this.onTracks(this.placed(offer));
    await this.signal.request("answer", { revision: offer.revision, sdp: this.pc.localDescription?.sdp ?? "" });
  }

  private placed(offer: OfferFrame): Map<string, MediaStreamTrack> {
    const byMid = new Map(this.pc.getTransceivers().map((t) => [t.mid, t.receiver.track]));
    const tracks = new Map<string, MediaStreamTrack>();
    for (const place of offer.places ?? []) {
      const track = byMid.get(place.mid);
      if (track) tracks.set(place.track_id, track);
    }
    return tracks;
  }

  private onConnectionState(): void {
    const state = this.pc.connectionState;
    this.onConnection(state);
    if (this.restartTimer) clearTimeout(this.restartTimer);
    if (state !== "failed" && state !== "disconnected") return;
    const again = () => {
      void this.restart().catch(() => undefined);
      this.restartTimer = setTimeout(again, restartEveryMs);
    };
    this.restartTimer = setTimeout(again, state === "failed" ? 0 : restartAfterMs);
  }
}
