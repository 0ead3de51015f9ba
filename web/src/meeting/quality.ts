// How good the connection is, and why not: what the server says of each participant, and for oneself also what the
// browser's own statistics say (a busy processor, little bandwidth). Read every three seconds.
import { computed, signal } from "@preact/signals";
import type { MeetingSession } from "./session";

export type Cause = "uplink_loss" | "downlink_loss" | "round_trip" | "cpu" | "bandwidth" | "lost" | "none";

export interface Figures {
  upBps: number;
  downBps: number;
  lossUp: number; // fraction of packets that the server did not get
  lossDown: number;
  roundTripMs: number;
  jitterMs: number;
  sent: string; // "1280×720, 30 fps, VP8"
  received: string;
  transport: string;
  limitedBy: string;
}

export interface Verdict {
  score: number; // 0 lost, 1 bad, 2 fair, 3 good
  cause: Cause;
}

const everyMs = 3_000;
// One bad reading is no news.
const limitedReadings = 3;

interface Totals {
  atMs: number;
  sentBytes: number;
  receivedBytes: number;
  receivedPackets: number;
  lostPackets: number;
}

type Stat = Record<string, number | string | undefined> & { id: string; type: string; timestamp: number };

function numberOf(stat: Stat, name: string): number {
  const value = stat[name];
  return typeof value === "number" ? value : 0;
}

async function statsOf(pc: RTCPeerConnection | null): Promise<Stat[]> {
  if (!pc) return [];
  const all: Stat[] = [];
  (await pc.getStats()).forEach((s) => all.push(s as Stat));
  return all;
}

function pictureText(stat: Stat | undefined, all: Stat[]): string {
  if (!stat || !numberOf(stat, "frameWidth")) return "";
  const codec = all.find((s) => s.id === stat["codecId"]);
  const name = String(codec?.["mimeType"] ?? "").split("/")[1] ?? "";
  const parts = [`${numberOf(stat, "frameWidth")}×${numberOf(stat, "frameHeight")}`];
  if (stat["framesPerSecond"]) parts.push(`${Math.round(numberOf(stat, "framesPerSecond"))} fps`);
  if (name) parts.push(name);
  return parts.join(", ");
}

const largest = (stats: Stat[]) =>
  stats.reduce<Stat | undefined>((a, s) => (!a || numberOf(s, "frameWidth") > numberOf(a, "frameWidth") ? s : a), undefined);
const sumOf = (stats: Stat[], name: string) => stats.reduce((sum, s) => sum + numberOf(s, name), 0);

export class Quality {
  readonly figures = signal<Figures | null>(null);
  private readonly limited = signal<"" | "cpu" | "bandwidth">("");
  private readings = { cpu: 0, bandwidth: 0 };
  private before: Totals | null = null;
  private readonly timer: ReturnType<typeof setInterval>;

  readonly verdict = computed<Verdict>(() => {
    const session = this.session;
    if (session.link.value !== "open") return { score: 0, cause: "lost" };
    const states = [session.publishState.value, session.subscribeState.value];
    if (states.some((s) => s === "failed" || s === "disconnected")) return { score: 0, cause: "lost" };
    const told = session.room.quality.value.get(session.room.selfId.value);
    if (told && told.score < 3 && told.cause !== "none") return { score: told.score, cause: told.cause };
    if (this.limited.value) return { score: 2, cause: this.limited.value };
    return { score: told?.score ?? 3, cause: "none" };
  });

  constructor(private readonly session: MeetingSession) {
    this.timer = setInterval(() => void this.read().catch(() => undefined), everyMs);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private async read(): Promise<void> {
    const [up, down] = await Promise.all([
      statsOf(this.session.publishConnection),
      statsOf(this.session.subscribeConnection),
    ]);
    const outbound = up.filter((s) => s.type === "outbound-rtp");
    const inbound = down.filter((s) => s.type === "inbound-rtp");
    const remote = up.filter((s) => s.type === "remote-inbound-rtp");
    const pair = [...down, ...up].find((s) => s.type === "candidate-pair" && s["state"] === "succeeded");
    const transport = up.find((s) => s.type === "transport" && s["srtpCipher"]) ?? down.find((s) => s.type === "transport");
    const now: Totals = {
      atMs: performance.now(),
      sentBytes: sumOf(outbound, "bytesSent"),
      receivedBytes: sumOf(inbound, "bytesReceived"),
      receivedPackets: sumOf(inbound, "packetsReceived"),
      lostPackets: sumOf(inbound, "packetsLost"),
    };
    const rates = this.rates(now);
    const videos = outbound.filter((s) => s["kind"] === "video");
    const reason = this.limitation(videos);
    this.figures.value = {
      ...rates,
      lossUp: remote.length ? Math.max(...remote.map((s) => numberOf(s, "fractionLost"))) : 0,
      roundTripMs: pair ? numberOf(pair, "currentRoundTripTime") * 1000 : 0,
      jitterMs: inbound.length ? Math.max(...inbound.map((s) => numberOf(s, "jitter"))) * 1000 : 0,
      sent: pictureText(largest(videos), up),
      received: pictureText(largest(inbound.filter((s) => s["kind"] === "video")), down),
      transport: String(transport?.["srtpCipher"] ?? ""),
      limitedBy: reason,
    };
  }

  private rates(now: Totals): Pick<Figures, "upBps" | "downBps" | "lossDown"> {
    const before = this.before;
    this.before = now;
    if (!before || now.receivedBytes < before.receivedBytes || now.sentBytes < before.sentBytes)
      return { upBps: 0, downBps: 0, lossDown: 0 };
    const seconds = (now.atMs - before.atMs) / 1000;
    const lost = Math.max(0, now.lostPackets - before.lostPackets);
    const got = Math.max(0, now.receivedPackets - before.receivedPackets);
    return {
      upBps: ((now.sentBytes - before.sentBytes) * 8) / seconds,
      downBps: ((now.receivedBytes - before.receivedBytes) * 8) / seconds,
      lossDown: lost + got ? lost / (lost + got) : 0,
    };
  }

  private limitation(videos: Stat[]): "" | "cpu" | "bandwidth" {
    const reasons = videos.filter((s) => s["active"] !== 0).map((s) => s["qualityLimitationReason"]);
    for (const reason of ["cpu", "bandwidth"] as const)
      this.readings[reason] = reasons.includes(reason) ? this.readings[reason] + 1 : 0;
    const found =
      this.readings.cpu >= limitedReadings ? "cpu" : this.readings.bandwidth >= limitedReadings * 3 ? "bandwidth" : "";
    this.limited.value = found;
    return found;
  }
}
