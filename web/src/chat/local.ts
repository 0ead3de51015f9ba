// What this browser keeps of one account's messages, to draw it before the server has answered and to read without one: a
// database that may be thrown away at any time. Another account or another shape of the records empties it.
import type { Profile } from "../app/types";
import { done, ended } from "./idb";
import type { Log } from "./log";
import type { Conversation, Message } from "./types";

export const databaseName = "parlance";
// To be raised whenever the records look different.
const shape = 1;
const conversationsMost = 1_000;
const threadsMost = 100;
const peopleMost = 2_000;
export const messagesMost = 80;

export interface KeptThread {
  id: string;
  rev: number;
  messages: Message[];
  hasOlder: boolean;
  usedAtMs: number;
}

export interface Snapshot {
  cursor: string;
  hasMore: boolean;
  conversations: Conversation[];
  people: Profile[];
}

export interface Batch {
  cursor: string;
  hasMore: boolean;
  conversations: Conversation[];
  goneConversations: string[];
  threads: KeptThread[];
  goneThreads: string[];
  people: Profile[];
}

const stores = ["facts", "conversations", "threads", "people"] as const;

export function keptThread(id: string, log: Log): KeptThread {
  const messages = log.messages.slice(-messagesMost);
  return { id, rev: log.rev, messages, hasOlder: log.hasOlder || messages.length < log.messages.length, usedAtMs: Date.now() };
}

export const logOf = (kept: KeptThread): Log => ({ rev: kept.rev, messages: kept.messages, hasOlder: kept.hasOlder, hasNewer: false });

const openLimitMs = 3_000;

class BlockedError extends Error {}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(databaseName, shape);
    request.onupgradeneeded = () => {
      const db = request.result;
      for (const name of [...db.objectStoreNames]) db.deleteObjectStore(name);
      db.createObjectStore("facts");
      db.createObjectStore("conversations", { keyPath: "id" }).createIndex("active_at_ms", "active_at_ms");
      db.createObjectStore("threads", { keyPath: "id" }).createIndex("usedAtMs", "usedAtMs");
      db.createObjectStore("people", { keyPath: "id" });
    };
    // Behind another tab's deletion it may wait for as long as that one does: one goes on without.
    let isLate = false;
    const timer = setTimeout(() => ((isLate = true), reject(new BlockedError())), openLimitMs);
    request.onsuccess = () => {
      clearTimeout(timer);
      const db = request.result;
      if (isLate) return db.close();
      db.onversionchange = () => db.close(); // another tab signs out or has a newer shape: it must not wait for us
      resolve(db);
    };
    request.onerror = () => reject(request.error ?? new Error("no database"));
    request.onblocked = () => reject(new BlockedError());
  });
}

export class Local {
  private constructor(private readonly db: IDBDatabase) {}

  // Of this account; null: nothing can be kept here (a private window, say). `onBlocked`: what was kept is out of reach now.
  static async open(account: string, onBlocked: () => void = () => undefined): Promise<Local | null> {
    try {
      const local = new Local(await openDatabase());
      const owner = (await done(local.db.transaction("facts").objectStore("facts").get("account"))) as string | undefined;
      if (owner !== account) await local.clear(account);
      return local;
    } catch (error) {
      if (error instanceof BlockedError) onBlocked();
      return null;
    }
  }

  close(): void {
    this.db.close();
  }

  private async clear(account: string): Promise<void> {
    const tx = this.db.transaction(stores, "readwrite");
    for (const name of stores) tx.objectStore(name).clear();
    tx.objectStore("facts").put(account, "account");
    await ended(tx);
  }

  async read(): Promise<Snapshot> {
    const tx = this.db.transaction(["facts", "conversations", "people"]);
    const [cursor, hasMore, conversations, people] = await Promise.all([
      done(tx.objectStore("facts").get("cursor")) as Promise<string | undefined>,
      done(tx.objectStore("facts").get("hasMore")) as Promise<boolean | undefined>,
      done(tx.objectStore("conversations").getAll()) as Promise<Conversation[]>,
      done(tx.objectStore("people").getAll()) as Promise<Profile[]>,
    ]);
    return { cursor: cursor ?? "", hasMore: hasMore ?? false, conversations, people };
  }

  // Async, so that a database which was closed (a newer page of another tab, say) rejects and does not throw.
  async thread(id: string): Promise<KeptThread | undefined> {
    return (await done(this.db.transaction("threads").objectStore("threads").get(id))) as KeptThread | undefined;
  }

  async threadIds(): Promise<Set<string>> {
    return new Set((await done(this.db.transaction("threads").objectStore("threads").getAllKeys())).map(String));
  }

  // All or nothing: the cursor never runs ahead of what it stands for.
  async write(batch: Batch): Promise<void> {
    const tx = this.db.transaction(stores, "readwrite");
    tx.objectStore("facts").put(batch.cursor, "cursor");
    tx.objectStore("facts").put(batch.hasMore, "hasMore");
    const [conversations, threads, people] = [tx.objectStore("conversations"), tx.objectStore("threads"), tx.objectStore("people")];
    for (const id of batch.goneConversations) conversations.delete(id);
    for (const id of batch.goneThreads) threads.delete(id);
    for (const c of batch.conversations) conversations.put(c);
    for (const t of batch.threads) threads.put(t);
    for (const p of batch.people) people.put(p);
    void prune(conversations.index("active_at_ms"), conversationsMost);
    void prune(threads.index("usedAtMs"), threadsMost);
    void prune(people, peopleMost);
    await ended(tx);
  }
}

// Deletes the first ones of what is too much.
async function prune(from: IDBIndex | IDBObjectStore, most: number): Promise<void> {
  let excess = (await done(from.count())) - most;
  if (excess <= 0) return;
  const request = from.openCursor();
  request.onsuccess = () => {
    const at = request.result;
    if (!at || excess-- <= 0) return;
    at.delete();
    at.continue();
  };
}
