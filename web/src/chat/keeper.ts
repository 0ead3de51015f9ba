// Writes what the store holds into the browser's database (local.ts), some time after it changed. Of several tabs only one
// does: two would overwrite each other's newer records with older ones.
import { effect } from "@preact/signals";
import type { Profile } from "../app/types";
import { keptThread, type Batch, type KeptThread, type Local } from "./local";
import type { Log } from "./log";
import type { Conversation } from "./types";

const pauseMs = 800;

// What there is to keep now. Reading it in an effect is hearing of changes.
export interface Kept {
  cursor: string;
  hasMore: boolean;
  conversations: ReadonlyMap<string, Conversation>;
  logs: ReadonlyMap<string, Log>;
  people: ReadonlyMap<string, Profile>;
}

export class Keeper {
  private isWriter = false;
  private isWriting = false;
  private isOver = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private letGo: () => void = () => undefined;
  private readonly stop: () => void;
  // What is in the database, as far as this tab knows.
  private conversations = new Map<string, Conversation>();
  private logs = new Map<string, Log>();
  private people = new Map<string, Profile>();
  private extra: KeptThread[] = [];
  private goneThreads = new Set<string>();

  constructor(private readonly local: Local, account: string, private readonly look: () => Kept) {
    const locks = navigator.locks as LockManager | undefined;
    if (locks) {
      const held = new Promise<void>((resolve) => (this.letGo = resolve));
      const write = () => (this.beWriter(), held);
      locks.request(`parlance.keeper.${account}`, write).catch(() => undefined);
    } else this.isWriter = true;
    this.stop = effect(() => {
      this.look();
      this.soon();
    });
    document.addEventListener("visibilitychange", this.onHidden);
    addEventListener("pagehide", this.flushNow);
  }

  // Nothing more is written: the account's data is about to go.
  close(): void {
    this.isOver = true;
    this.stop();
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onHidden);
    removeEventListener("pagehide", this.flushNow);
    this.letGo();
  }

  private beWriter(): void {
    this.isWriter = true;
    this.soon();
  }

  // What was read at the start need not be written again.
  knows(conversations: Conversation[], people: Profile[]): void {
    for (const c of conversations) this.conversations.set(c.id, c);
    for (const p of people) this.people.set(p.id, p);
  }

  // A conversation that is not looked at, fetched to be read later without connection.
  add(thread: KeptThread): void {
    this.extra.push(thread);
    this.soon();
  }

  // What was kept of these conversations belongs to another life of the server.
  drop(ids: Iterable<string>): void {
    for (const id of ids) this.goneThreads.add(id);
    this.logs.clear();
    this.soon();
  }

  private onHidden = (): void => {
    if (document.visibilityState === "hidden") this.flushNow();
  };

  private soon(): void {
    this.timer ??= setTimeout(() => this.flushNow(), pauseMs);
  }

  private flushNow = (): void => {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.isOver || !this.isWriter) return;
    if (this.isWriting) return this.soon();
    void this.flush();
  };

  private async flush(): Promise<void> {
    const now = this.look();
    const batch = this.batchOf(now);
    this.isWriting = true;
    try {
      await this.local.write(batch);
    } catch {
      // Full or taken away: what this tab believes to be there may not be. It ends here; reading goes on.
      this.isOver = true;
    } finally {
      this.isWriting = false;
    }
  }

  private batchOf(now: Kept): Batch {
    const threads = [...this.extra.splice(0), ...changed(now.logs, this.logs).map(([id, log]) => keptThread(id, log))];
    const goneThreads = new Set([...this.goneThreads, ...gone(now.conversations, this.conversations)]);
    for (const t of threads) goneThreads.delete(t.id);
    const batch: Batch = {
      cursor: now.cursor, hasMore: now.hasMore, threads, goneThreads: [...goneThreads],
      conversations: changed(now.conversations, this.conversations).map(([, c]) => c),
      goneConversations: gone(now.conversations, this.conversations),
      people: changed(now.people, this.people).map(([, p]) => p),
    };
    this.conversations = new Map(now.conversations);
    this.logs = new Map(now.logs);
    this.people = new Map(now.people);
    this.goneThreads.clear();
    return batch;
  }
}

function changed<T>(now: ReadonlyMap<string, T>, before: ReadonlyMap<string, T>): [string, T][] {
  return [...now].filter(([id, value]) => before.get(id) !== value);
}

function gone<T>(now: ReadonlyMap<string, T>, before: ReadonlyMap<string, T>): string[] {
  return [...before.keys()].filter((id) => !now.has(id));
}
