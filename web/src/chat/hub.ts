// The shared worker's half: one socket for all tabs of one account. Tabs ask through their ports, everybody hears what
// happens; a tab that goes takes nothing with it. Messages between both halves are those of ToHub and ToTab.
import { ApiError } from "../app/api-error";
import { Link, type LinkState } from "./link";

export type ToHub =
  | { type: "hello" | "bye" | "wake" | "retry" }
  | { type: "ask"; id: number; name: string; body: object }
  | { type: "token"; id: number; token: string | null; isFailed: boolean };

export type ToTab =
  | { type: "state"; state: LinkState }
  | { type: "ready" }
  | { type: "event"; name: string; body: unknown }
  | { type: "answer"; id: number; body: unknown; error?: { code: string; message: string; requestId: string } }
  | { type: "token"; id: number; isRefused: boolean };

export interface Port {
  postMessage(message: ToTab): void;
}

const tokenLimitMs = 8_000;

// So many people one socket may watch (docs/messaging.md, "Presence").
const watchedMost = 200;

// What a tab has on its screen.
interface Shown {
  opened: Set<string>;
  watched: Set<string>;
}

interface Watch {
  is_change?: boolean;
  user_ids?: string[];
  removed_ids?: string[];
}

interface TokenWish {
  resolve: (token: string | null) => void;
  reject: (error: Error) => void;
}

export class Hub {
  private link: Link | null = null;
  private state: LinkState = "connecting";
  private isReady = false;
  // The last one heard of comes last.
  private readonly tabs = new Map<Port, Shown>();
  private readonly wishes = new Map<number, TokenWish>();
  private nextWish = 1;

  onMessage(port: Port, message: ToHub): void {
    if (message.type === "bye") return this.leave(port);
    this.enter(port);
    if (message.type === "wake") this.link?.wake();
    else if (message.type === "retry") this.link?.retryNow();
    else if (message.type === "ask") void this.ask(port, message);
    else if (message.type === "token") this.onToken(message);
  }

  private enter(port: Port): void {
    const isNew = !this.tabs.has(port);
    const shown = this.tabs.get(port) ?? { opened: new Set(), watched: new Set() };
    this.tabs.delete(port);
    this.tabs.set(port, shown);
    if (!this.link || this.link.isClosed) this.connect();
    else if (isNew) {
      port.postMessage({ type: "state", state: this.state });
      if (this.isReady) port.postMessage({ type: "ready" });
    }
  }

  private connect(): void {
    this.isReady = false;
    this.link = new Link({
      token: (isRefused) => this.token(isRefused),
      onState: (state) => {
        this.state = state;
        this.isReady &&= state === "open";
        if (state !== "open") for (const shown of this.tabs.values()) shown.watched.clear(); // asked for anew by each
        this.tell({ type: "state", state });
      },
      onReady: () => {
        this.isReady = true;
        this.tell({ type: "ready" });
      },
      onEvent: (name, body) => this.tell({ type: "event", name, body }),
    });
  }

  private tell(message: ToTab): void {
    for (const port of this.tabs.keys()) port.postMessage(message);
  }

  private leave(port: Port): void {
    const shown = this.tabs.get(port);
    this.tabs.delete(port);
    for (const id of shown?.opened ?? []) if (!this.isOpenElsewhere(id)) this.link?.request("open", { id, is_closed: true }).catch(() => undefined);
    const removed_ids = this.unwatched(shown?.watched ?? []);
    if (removed_ids.length && this.isReady) this.link?.request("watch", { is_change: true, user_ids: [], removed_ids }).catch(() => undefined);
    if (this.tabs.size) return;
    this.link?.close();
    this.link = null;
  }

  private isOpenElsewhere(id: string): boolean {
    return [...this.tabs.values()].some(({ opened }) => opened.has(id));
  }

  private async ask(port: Port, { id, name, body }: { id: number; name: string; body: object }): Promise<void> {
    try {
      const isKept = name === "open" && this.noteOpen(port, body as { id: string; is_closed?: boolean });
      const reply = isKept ? {} : await this.link?.request(name, name === "watch" ? this.merged(port, body as Watch) : body);
      port.postMessage({ type: "answer", id, body: reply });
    } catch (error) {
      const { code, message, requestId } = error instanceof ApiError ? error : new ApiError("unknown", String(error), "", 0);
      port.postMessage({ type: "answer", id, body: null, error: { code, message, requestId } });
    }
  }

  // True: one tab looks away from a conversation that another still shows; the server need not know.
  private noteOpen(port: Port, { id, is_closed }: { id: string; is_closed?: boolean }): boolean {
    const opened = this.tabs.get(port)?.opened;
    if (!is_closed) opened?.add(id);
    else opened?.delete(id);
    return is_closed === true && this.isOpenElsewhere(id);
  }

  // Of these whom no tab watches.
  private unwatched(ids: Iterable<string>): string[] {
    const watched = new Set([...this.tabs.values()].flatMap((shown) => [...shown.watched]));
    return [...ids].filter((id) => !watched.has(id));
  }

  // What a tab watches, as a change of what all of them do: nobody leaves the list whom another tab shows. When there are too
  // many, those of the tabs heard of longest ago go.
  private merged(port: Port, { is_change, user_ids = [], removed_ids = [] }: Watch): Watch {
    const shown = this.tabs.get(port);
    if (!shown) return { is_change: true, user_ids, removed_ids };
    const gone = new Set(is_change ? removed_ids : shown.watched);
    for (const id of gone) shown.watched.delete(id);
    for (const id of user_ids) shown.watched.add(id);
    const all = new Set([...this.tabs.values()].flatMap(({ watched }) => [...watched]));
    for (const other of this.tabs.values())
      for (const id of other === shown ? [] : other.watched) {
        if (all.size <= watchedMost) break;
        if (shown.watched.has(id)) continue;
        for (const { watched } of this.tabs.values()) watched.delete(id);
        all.delete(id);
        gone.add(id);
      }
    return { is_change: true, user_ids, removed_ids: this.unwatched(gone) };
  }

  // Only pages can sign in: the one heard of last is asked first, and the next when it does not answer.
  private async token(isRefused: boolean): Promise<string | null> {
    for (const port of [...this.tabs.keys()].reverse()) {
      const id = this.nextWish++;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const answer = new Promise<string | null | undefined>((resolve, reject) => {
        this.wishes.set(id, { resolve, reject });
        timer = setTimeout(() => resolve(undefined), tokenLimitMs);
      });
      port.postMessage({ type: "token", id, isRefused });
      const token = await answer.finally(() => (clearTimeout(timer), this.wishes.delete(id)));
      if (token !== undefined) return token;
      this.leave(port); // it is gone without a word
    }
    throw new ApiError("offline", "no page answers", "", 0);
  }

  private onToken({ id, token, isFailed }: { id: number; token: string | null; isFailed: boolean }): void {
    const wish = this.wishes.get(id);
    if (isFailed) wish?.reject(new ApiError("offline", "no token to be had", "", 0));
    else wish?.resolve(token);
  }
}
