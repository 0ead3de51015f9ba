// The socket /ws/im, kept alive: signs in, answers to requests by id, events as they come; when it drops it comes back
// after a pause that grows and is never the same for all (docs/messaging.md). Runs in a page or in a shared worker.
import { ApiError } from "../app/api-error";
import { Asked } from "../app/asked";
import { pauseMs } from "../app/pause";

export type LinkState = "connecting" | "open" | "waiting";
export type Frame = Record<string, unknown> & { id?: number };

// What the store talks through, whether the socket is the page's own or shared with other tabs.
export interface Wire {
  request<T>(name: string, body?: object): Promise<T>;
  retryNow(): void;
  close(): void;
}

export interface LinkOptions {
  // A token to sign in with, a new one when the last was refused; null: nobody is signed in any more.
  token: (isRefused: boolean) => Promise<string | null>;
  onState: (state: LinkState) => void;
  // Everything is told from now on.
  onReady: () => void;
  onEvent: (name: string, body: unknown) => void;
}

const requestLimitMs = 15_000;
const openLimitMs = 10_000;
const pingEveryMs = 20_000;
const silenceLimitMs = 45_000;
const probeLimitMs = 4_000;
const backoff = { firstMs: 500, mostMs: 30_000 };

export class Link implements Wire {
  private socket: WebSocket | null = null;
  private readonly asked = new Asked(requestLimitMs);
  private attempt = 0;
  private retryTimer: ReturnType<typeof setTimeout> | null = null;
  private pingTimer: ReturnType<typeof setInterval>;
  private heardAtMs = 0;
  private isOver = false;
  private isRenewing = false;
  private closingDelayMs = 0;

  constructor(private readonly options: LinkOptions) {
    this.pingTimer = setInterval(this.beat, pingEveryMs);
    this.connect();
  }

  close(): void {
    this.isOver = true;
    clearInterval(this.pingTimer);
    if (this.retryTimer) clearTimeout(this.retryTimer);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.asked.rejectAll("offline", "the connection broke off");
  }

  request<T>(name: string, body: object = {}): Promise<T> {
    const socket = this.socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) return Promise.reject(new ApiError("offline", "not connected", "", 0));
    return this.asked.ask<T>(name, (id) => socket.send(JSON.stringify({ id, [name]: body })));
  }

  retryNow = (): void => {
    if (this.isOver || this.socket) return;
    if (this.retryTimer) clearTimeout(this.retryTimer);
    this.connect();
  };

  get isClosed(): boolean {
    return this.isOver;
  }

  // The network is back, or a page is looked at again: see at once whether the socket still lives.
  wake = (): void => {
    if (this.isOver) return;
    if (!this.socket) return this.retryNow();
    const { socket } = this;
    const askedAtMs = Date.now();
    this.ping();
    setTimeout(() => this.heardAtMs < askedAtMs && this.lost(socket, 1006), probeLimitMs);
  };

  private beat = (): void => {
    const { socket } = this;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - this.heardAtMs > silenceLimitMs) this.lost(socket, 1006);
    else this.ping();
  };

  private ping(): void {
    this.request("ping").catch(() => undefined); // silence is what counts
  }

  private connect(): void {
    this.options.onState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/im`, "parlance.v1.json");
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
      const bearer = await this.options.token(this.isRenewing);
      // The page goes to the sign-in by itself.
      if (bearer === null) return this.close();
      this.isRenewing = false;
      if (this.socket === socket) await this.request("authenticate", { token: bearer });
    } catch (error) {
      // The answer comes before the server closes.
      const isRefused = error instanceof ApiError && error.code === "unauthenticated";
      this.lost(socket, isRefused || this.isRenewing ? 4401 : 1006);
    }
  }

  private onMessage(text: string): void {
    this.heardAtMs = Date.now();
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      return;
    }
    const waiting = this.asked.take(frame.id);
    if (waiting) {
      const error = frame["error"] as { code: string; message: string; request_id: string } | undefined;
      if (error) waiting.reject(new ApiError(error.code, error.message, error.request_id, 0));
      else waiting.resolve(frame[waiting.name]);
    } else if (frame.id === undefined) this.onEvent(frame);
  }

  private onEvent(frame: Frame): void {
    if (frame["ready"]) {
      this.attempt = 0;
      this.options.onState("open");
      this.options.onReady();
    }
    const closing = frame["closing"] as { retry_after_ms: number } | undefined;
    if (closing) this.closingDelayMs = closing.retry_after_ms * (1 + Math.random());
    for (const [name, body] of Object.entries(frame)) this.options.onEvent(name, body);
  }

  private lost(socket: WebSocket, code: number): void {
    if (this.socket !== socket) return;
    this.socket = null;
    socket.close();
    this.asked.rejectAll("offline", "the connection broke off");
    if (this.isOver) return;
    if (code === 4401) this.isRenewing = true;
    const delayMs = this.closingDelayMs || pauseMs(this.attempt++, backoff);
    this.closingDelayMs = 0;
    this.options.onState("waiting");
    this.retryTimer = setTimeout(() => this.connect(), delayMs);
  }
}
