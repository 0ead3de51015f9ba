// The logs this page holds: the ones looked at last, and which of them wait for a page of more.
import { computed, signal } from "@preact/signals";
import { emptyLog, type Log } from "./log";

export interface Thread {
  log: Log;
  state: "loading" | "ready" | "failed";
  // Drawn from what this browser kept; what happened since is not in it yet.
  isStale?: boolean;
}

// More are held than are asked for at once; the others wait in the browser's database.
const threadsMost = 40;

export class Threads {
  readonly list = signal<Map<string, Thread>>(new Map());
  // Older or newer messages are on their way; apart from the threads, which are not drawn anew for it.
  readonly paging = signal<ReadonlySet<string>>(new Set());
  // Logs that lack nothing between their first message and the end.
  readonly whole = computed(
    () => new Map([...this.list.value].filter(([, t]) => t.state === "ready" && !t.isStale && !t.log.hasNewer).map(([id, t]) => [id, t.log])),
  );

  set(id: string, fields: Partial<Thread>): void {
    const before = this.list.value.get(id) ?? { log: emptyLog(), state: "loading" };
    this.list.value = new Map(this.list.value).set(id, { ...before, ...fields });
  }

  drop(id: string): void {
    const next = new Map(this.list.value);
    next.delete(id);
    this.list.value = next;
  }

  setPaging(id: string, isPaging: boolean): void {
    const next = new Set(this.paging.peek());
    if (isPaging) next.add(id);
    else next.delete(id);
    this.paging.value = next;
  }

  // The ones opened longest ago; `openId` was opened last.
  letGo(openId: string): void {
    const opened = this.list.value.get(openId);
    if (!opened) return;
    const next = new Map(this.list.value);
    next.delete(openId);
    next.set(openId, opened);
    for (const id of next.keys()) if (next.size > threadsMost) next.delete(id);
    this.list.value = next;
  }
}
