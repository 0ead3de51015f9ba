// A tab's half of the shared socket; the other half is hub.ts. Where there are no shared workers, or ours does not start,
// the tab has a socket of its own.
import { ApiError } from "../app/api-error";
import { Asked } from "../app/asked";
import type { ToHub, ToTab } from "./hub";
import { Link, type LinkOptions, type Wire } from "./link";

declare const __CHAT_WORKER__: string;

const helloLimitMs = 4_000;
// The worker answers in 15 s by itself.
const requestLimitMs = 20_000;

class SharedLink implements Wire {
  private readonly port: MessagePort;
  private readonly asked = new Asked(requestLimitMs);
  private heardAtMs = 0;
  private isOver = false;
  private readonly helloTimer: ReturnType<typeof setTimeout>;
  private readonly onDead: () => void;

  constructor(worker: SharedWorker, private readonly options: LinkOptions, onDead: () => void) {
    this.port = worker.port;
    this.onDead = () => {
      if (this.isOver) return;
      this.close();
      onDead();
    };
    const unheard = () => !this.heardAtMs && this.onDead();
    worker.onerror = unheard;
    this.helloTimer = setTimeout(unheard, helloLimitMs);
    this.port.onmessage = (e: MessageEvent<ToTab>) => this.onMessage(e.data);
    addEventListener("pagehide", this.bye);
    addEventListener("pageshow", this.hello);
    addEventListener("online", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    this.post({ type: "hello" });
  }

  private post(message: ToHub): void {
    this.port.postMessage(message);
  }

  private bye = (): void => this.post({ type: "bye" });
  // Back from the browser's cache of pages.
  private hello = (e: PageTransitionEvent): void => {
    if (e.persisted) this.post({ type: "hello" });
  };
  private wake = (): void => {
    if (document.visibilityState !== "hidden") this.post({ type: "wake" });
  };
  retryNow = (): void => this.post({ type: "retry" });

  close(): void {
    this.isOver = true;
    clearTimeout(this.helloTimer);
    removeEventListener("pagehide", this.bye);
    removeEventListener("pageshow", this.hello);
    removeEventListener("online", this.wake);
    document.removeEventListener("visibilitychange", this.wake);
    this.bye();
    this.port.close();
    this.asked.rejectAll("offline", "closed");
  }

  // A worker that lives answers in time, if only that it got no answer: browsers do not tell when one was killed.
  request<T>(name: string, body: object = {}): Promise<T> {
    const askedAtMs = Date.now();
    const answer = this.asked.ask<T>(name, (id) => this.post({ type: "ask", id, name, body }));
    answer.catch((error) => error instanceof ApiError && error.code === "deadline_exceeded" && this.heardAtMs < askedAtMs && this.onDead());
    return answer;
  }

  private onMessage(m: ToTab): void {
    this.heardAtMs = Date.now();
    clearTimeout(this.helloTimer);
    if (m.type === "state") this.options.onState(m.state);
    else if (m.type === "ready") this.options.onReady();
    else if (m.type === "event") this.options.onEvent(m.name, m.body);
    else if (m.type === "token") void this.giveToken(m.id, m.isRefused);
    else if (m.error) this.asked.take(m.id)?.reject(new ApiError(m.error.code, m.error.message, m.error.requestId, 0));
    else this.asked.take(m.id)?.resolve(m.body);
  }

  private async giveToken(id: number, isRefused: boolean): Promise<void> {
    try {
      this.post({ type: "token", id, token: await this.options.token(isRefused), isFailed: false });
    } catch {
      this.post({ type: "token", id, token: null, isFailed: true });
    }
  }
}

// The page's own socket, awake when the page is.
class OwnLink extends Link {
  constructor(options: LinkOptions) {
    super(options);
    addEventListener("online", this.look);
    document.addEventListener("visibilitychange", this.look);
  }

  private look = (): void => {
    if (document.visibilityState !== "hidden") this.wake();
  };

  override close(): void {
    removeEventListener("online", this.look);
    document.removeEventListener("visibilitychange", this.look);
    super.close();
  }
}

// `account`: whose socket it is; tabs of the same one share it. Empty: not shared.
export function openWire(account: string, options: LinkOptions): Wire {
  if (!account || typeof SharedWorker === "undefined") return new OwnLink(options);
  let wire: Wire;
  try {
    wire = new SharedLink(new SharedWorker(__CHAT_WORKER__, { name: `parlance ${account}` }), options, () => (wire = new OwnLink(options)));
  } catch {
    return new OwnLink(options);
  }
  return {
    request: (name, body) => wire.request(name, body),
    retryNow: () => wire.retryNow(),
    close: () => wire.close(),
  };
}
