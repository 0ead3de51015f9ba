// The signaling socket, kept alive: signs in, enters the room, answers to requests by id, events as they come; when the
// socket drops it comes back with the resume token. What cannot be mended ends it with a reason.
import { ApiError } from "../app/api";
import { Asked } from "../app/asked";
import { pauseMs } from "../app/pause";
import { socketUrl } from "../prejoin/connection";
import type { AnyFrame, ErrorFrame, EventFrame, RoomJoined, WaitingFrame } from "./frames";

export type EndReason =
  | "left" | "navigated" | "ended" | "removed" | "refused" | "elsewhere" | "signed_out" | "denied" | "broken";
export type LinkState = "connecting" | "open" | "reconnecting";

export interface SignalOptions {
  meetingId: string;
  token: (isRenewed: boolean) => Promise<string>;
  // Asks the meeting service anew when the room no longer knows us; false: not allowed any more.
  rejoin: () => Promise<boolean>;
  onState: (state: LinkState) => void;
  onWaiting: (frame: WaitingFrame) => void;
  onJoined: (frame: RoomJoined) => void;
  onEvent: (frame: EventFrame) => void;
  onEnd: (reason: EndReason) => void;
}

const requestLimitMs = 10_000;
const openLimitMs = 8_000;
// A frozen server has to be noticed soon enough to be back in the room within ten seconds.
const pingEveryMs = 3_000;
const silenceLimitMs = 7_000;
// How long the answer may take when there is a reason to doubt the line.
const probeLimitMs = 3_000;
const backoff = { firstMs: 400, mostMs: 8_000 };
const protocolErrorsMost = 3;

// What a close code asks for (docs/signaling.md).
export function afterClose(code: number): "retry" | "renew" | "count" | EndReason {
  switch (code) {
    case 4401:
      return "renew";
    case 4403:
      return "removed";
    case 4409:
      return "elsewhere";
    case 1007:
    case 1008:
    case 1009:
      return "count";
    default:
      return "retry";
  }
}

export class Signal {
  private socket: WebSocket | null = null;
  private readonly asked = new Asked(requestLimitMs);
  private resumeToken = "";
  private attempt = 0;
  private retryTimer: ReturnType<typeof setTimeout> | null = null;
  private pingTimer: ReturnType<typeof setInterval> | null = null;
  private heardAtMs = 0;
  private isOver = false;
  private isRenewing = false;
  private closingDelayMs = 0;
  private protocolErrors = 0;
  private rejoins = 0;
  private expectedEnd: EndReason | null = null;

  constructor(private readonly options: SignalOptions) {
    addEventListener("online", this.wake);
    addEventListener("offline", this.probe);
    document.addEventListener("visibilitychange", this.wake);
    this.connect();
  }

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  request(type: string, fields: object = {}): Promise<AnyFrame> {
    const socket = this.socket;
    if (!socket || socket.readyState !== WebSocket.OPEN)
      return Promise.reject(new ApiError("unavailable", "not connected", "", 0));
    return this.asked.ask<AnyFrame>(type, (id) => socket.send(JSON.stringify({ type, id, ...fields })));
  }

  // For the last words of a page that is being closed: nobody waits for an answer.
  tell(type: string): void {
    if (this.isOpen) this.socket?.send(JSON.stringify({ type }));
  }

  close(reason: EndReason): void {
    if (this.isOver) return;
    this.isOver = true;
    removeEventListener("online", this.wake);
    removeEventListener("offline", this.probe);
    document.removeEventListener("visibilitychange", this.wake);
    if (this.retryTimer) clearTimeout(this.retryTimer);
    this.drop(1000);
    this.options.onEnd(reason);
  }

  retryNow = (): void => {
    if (this.isOver || this.socket) return;
    if (this.retryTimer) clearTimeout(this.retryTimer);
    this.connect();
  };

  // The network is back, or the page is looked at again: see at once whether the socket still lives.
  private wake = (): void => {
    if (this.isOver || document.visibilityState === "hidden") return;
    if (!this.socket) this.retryNow();
    else this.probe();
  };

  // The network changed, or media stopped: if the server does not answer soon, the socket is as good as lost, whatever
  // the browser still thinks of it.
  probe = (): void => {
    const socket = this.socket;
    if (!socket || !this.isOpen) return;
    const askedAtMs = Date.now();
    void this.ping();
    setTimeout(() => this.heardAtMs < askedAtMs && this.lost(socket, 1006), probeLimitMs);
  };

  private connect(): void {
    this.options.onState(this.resumeToken ? "reconnecting" : "connecting");
    const socket = new WebSocket(socketUrl(), "parlance.signaling.v1");
    this.socket = socket;
    const limit = setTimeout(() => socket.readyState !== WebSocket.OPEN && this.lost(socket, 1006), openLimitMs);
    socket.onopen = () => {
      clearTimeout(limit);
      this.heardAtMs = Date.now();
      void this.enter(socket);
    };
    socket.onmessage = (e) => this.socket === socket && this.onMessage(String(e.data));
    socket.onclose = (e) => {
      clearTimeout(limit);
      this.lost(socket, e.code);
    };
  }

  private async enter(socket: WebSocket): Promise<void> {
    try {
      const token = await this.options.token(this.isRenewing);
      await this.request("auth", { token });
      this.isRenewing = false;
      const resume = this.resumeToken ? { resume_token: this.resumeToken } : {};
      const reply = await this.request("join_room", { meeting_id: this.options.meetingId, ...resume });
      if (this.socket !== socket) return;
      this.attempt = this.rejoins = 0;
      this.startPings();
      this.options.onState("open");
      if (reply.type === "waiting") this.options.onWaiting(reply as unknown as WaitingFrame);
      else this.onRoomJoined(reply as unknown as RoomJoined);
    } catch (error) {
      if (this.socket === socket) await this.onRefused(socket, error);
    }
  }

  private onRoomJoined(frame: RoomJoined): void {
    this.resumeToken = frame.resume_token;
    this.options.onJoined(frame);
  }

  // The room would not have us: perhaps the meeting service must be asked first, perhaps for good.
  private async onRefused(socket: WebSocket, error: unknown): Promise<void> {
    const code = error instanceof ApiError ? error.code : "";
    if (code === "unauthenticated") return; // the server closes with 4401
    if (["permission_denied", "failed_precondition", "not_found"].includes(code)) {
      if (this.rejoins++ === 0 && (await this.options.rejoin().catch(() => false))) {
        this.resumeToken = "";
        this.attempt = 0; // the network is there: nothing to wait for
        return this.lost(socket, 1006);
      }
      return this.close(code === "failed_precondition" ? "ended" : "denied");
    }
    this.lost(socket, 1006);
  }

  private onMessage(text: string): void {
    this.heardAtMs = Date.now();
    let frame: AnyFrame;
    try {
      frame = JSON.parse(text) as AnyFrame;
    } catch {
      return;
    }
    const waiting = this.asked.take(frame.id);
    if (waiting) {
      const error = frame as unknown as ErrorFrame;
      if (frame.type === "error") waiting.reject(new ApiError(error.code, error.message, error.request_id, 0));
      else waiting.resolve(frame);
      return;
    }
    if (frame.id !== undefined || frame.type === "error") return;
    this.onEventFrame(frame as unknown as EventFrame);
  }

  private onEventFrame(event: EventFrame): void {
    if (event.type === "room_joined") return this.onRoomJoined(event);
    if (event.type === "removed" || event.type === "refused") this.expectedEnd = event.type;
    if (event.type === "meeting_ended") this.expectedEnd = "ended";
    if (event.type === "server_closing") this.closingDelayMs = event.retry_after_ms + 500 + Math.random() * 2500;
    this.options.onEvent(event);
  }

  private async ping(): Promise<void> {
    try {
      await this.request("ping");
    } catch {
      // silence is what counts, see below
    }
  }

  private startPings(): void {
    if (this.pingTimer) clearInterval(this.pingTimer);
    this.pingTimer = setInterval(() => {
      const socket = this.socket;
      if (socket && Date.now() - this.heardAtMs > silenceLimitMs) this.lost(socket, 1006);
      else void this.ping();
    }, pingEveryMs);
  }

  private drop(code: number): void {
    const socket = this.socket;
    this.socket = null;
    if (this.pingTimer) clearInterval(this.pingTimer);
    if (socket) {
      socket.onclose = socket.onmessage = socket.onopen = null;
      socket.close(code);
    }
    this.asked.rejectAll("unavailable", "the connection broke");
  }

  private lost(socket: WebSocket, code: number): void {
    if (this.isOver || this.socket !== socket) return;
    this.drop(1000);
    if (this.expectedEnd) return this.close(this.expectedEnd);
    const next = afterClose(code);
    if (next === "count" ? ++this.protocolErrors > protocolErrorsMost : false) return this.close("broken");
    if (next === "renew") {
      if (this.isRenewing) return this.close("signed_out");
      this.isRenewing = true;
    } else if (next !== "retry" && next !== "count") {
      return this.close(next);
    }
    this.options.onState(this.resumeToken ? "reconnecting" : "connecting");
    const delayMs = this.closingDelayMs || (code === 1001 ? 500 + Math.random() * 2500 : pauseMs(this.attempt++, backoff));
    this.closingDelayMs = 0;
    this.retryTimer = setTimeout(this.retryNow, delayMs);
  }
}
