// What this browser keeps of the store's account, as the store sees it: drawn at the start, written as it changes, and
// filled with what one is likely to look at.
import { Keeper, type Kept } from "./keeper";
import { keptThread, Local, logOf, type Snapshot } from "./local";
import { emptyLog, mergeHistory, type Log } from "./log";
import type { Conversation, History } from "./types";

const warmMost = 30;
const warmMessages = 40;
const warmPauseMs = 150;

export class Shelf {
  private local: Local | null = null;
  private keeper: Keeper | null = null;
  private isOver = false;
  // What is kept of conversations is of another life: not drawn any more, and overwritten soon.
  private isVoid = false;

  // What was kept is taken. From now on `look` is kept.
  async open(account: string, take: (kept: Snapshot) => void, look: () => Kept, onBlocked: () => void): Promise<void> {
    this.local = await Local.open(account, onBlocked);
    const kept = await this.local?.read().catch(() => null);
    if (this.isOver) return this.local?.close();
    if (!kept || !this.local) return;
    take(kept);
    this.keeper = new Keeper(this.local, account, look);
    this.keeper.knows(kept.conversations, kept.people);
  }

  close(): void {
    this.isOver = true;
    this.keeper?.close();
    this.local?.close();
  }

  async log(id: string): Promise<Log | null> {
    const kept = await this.local?.thread(id).catch(() => undefined);
    return kept?.messages.length && !this.isVoid ? logOf(kept) : null;
  }

  async logs(): Promise<Map<string, Log>> {
    const ids = await this.local?.threadIds().catch(() => null);
    const logs = await Promise.all([...(ids ?? [])].map(async (id): Promise<[string, Log | null]> => [id, await this.log(id)]));
    return new Map(logs.flatMap(([id, log]) => (log ? [[id, log] as [string, Log]] : [])));
  }

  // The server's log lives another life.
  drop(ids: Iterable<string>): void {
    this.isVoid = true;
    this.keeper?.drop(ids);
  }

  // So that the latest conversations can be read without connection, and are there at once with one.
  async warm(latest: Conversation[], isWanted: (id: string) => boolean, history: (id: string, limit: number) => Promise<History>): Promise<void> {
    const held = await this.local?.threadIds().catch(() => null);
    if (!held) return;
    for (const c of latest.slice(0, warmMost)) {
      if (held.has(c.id)) continue;
      await new Promise((resolve) => setTimeout(resolve, warmPauseMs));
      if (this.isOver) return;
      if (!isWanted(c.id)) continue;
      const page = await history(c.id, warmMessages).catch(() => null);
      if (page) this.keeper?.add(keptThread(c.id, mergeHistory(emptyLog(c.rev), page, "fresh")));
    }
  }
}
