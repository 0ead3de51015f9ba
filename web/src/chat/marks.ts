// How far one has read and what one has begun to write, kept in the browser until the server knows it: made without a
// connection, or on a page that is closed at once, it is told later. Both may be told twice: reading only goes forward, and a
// draft takes the place of the one before. Drafts of threads, to people with whom there is no conversation yet, and those that
// the server refuses, stay here.
import { errorCode } from "../app/errors";
import { pauseMs } from "../app/pause";
import { isLasting } from "./outbox";
import type { Conversation } from "./types";

const busy = { firstMs: 2_000, mostMs: 60_000 };
const draftPauseMs = 1_200;
const draftsMost = 100;

interface Mark {
  read?: number;
  draft?: string;
  // The server will not have the draft.
  isLocal?: true;
  atMs: number;
}

export interface MarksOptions {
  request: <T>(name: string, body: object) => Promise<T>;
  isOpen: () => boolean;
  // The server's answer, with the draft that was told.
  onTold: (c: Conversation) => void;
  // The server will not have it: what is true there is asked for.
  onRefused: (id: string) => void;
}

const isTold = (to: string): boolean => !/[:/]/.test(to);
const isWaiting = ([to, mark]: [string, Mark]): boolean => isTold(to) && Boolean(mark.read || (mark.draft !== undefined && !mark.isLocal));

function parse(text: string | null): Mark | null {
  try {
    const mark = JSON.parse(text ?? "null") as Mark | null;
    return mark && typeof mark === "object" ? mark : null;
  } catch {
    return null;
  }
}

export class Marks {
  private readonly marks = new Map<string, Mark>();
  // What was written on this page, whether or not it was told.
  private readonly drafts = new Map<string, string>();
  private readonly prefix: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isTelling = false;
  private tries = 0;
  private isOver = false;

  // `me` "": of somebody without an account nothing is kept.
  constructor(me: string, private readonly options: MarksOptions) {
    this.prefix = me && `parlance.draft.${me}.`;
    this.recall();
    addEventListener("storage", this.onStorage);
  }

  // Nothing more is kept: the account's things may be about to go.
  close(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    removeEventListener("storage", this.onStorage);
  }

  // ---- kept ----

  private recall(): void {
    if (!this.prefix) return;
    try {
      const keys = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i) ?? "").filter((k) => k.startsWith(this.prefix));
      for (const key of keys) this.take(key, localStorage.getItem(key));
    } catch {
      // storage refused: they last as long as the page
    }
    const local = [...this.marks].filter((entry) => !isWaiting(entry)).sort((a, b) => b[1].atMs - a[1].atMs);
    for (const [to] of local.slice(draftsMost)) this.put(to, {});
  }

  private take(key: string, text: string | null): void {
    const to = key.slice(this.prefix.length);
    const mark = parse(text);
    if (mark) this.marks.set(to, mark);
    else this.marks.delete(to);
  }

  // Another tab may have written a newer one, of which this tab has not heard yet.
  private newest(to: string): Mark | undefined {
    const known = this.marks.get(to);
    try {
      const kept = this.prefix ? parse(localStorage.getItem(this.prefix + to)) : null;
      return kept && kept.atMs >= (known?.atMs ?? 0) ? kept : known;
    } catch {
      return known;
    }
  }

  // Another tab's.
  private onStorage = (e: StorageEvent): void => {
    if (!this.prefix || !e.key?.startsWith(this.prefix)) return;
    this.take(e.key, e.newValue);
    this.drafts.delete(e.key.slice(this.prefix.length)); // what stands there is newer than what was written here
  };

  private put(to: string, fields: Omit<Mark, "atMs">): void {
    const mark: Mark = { ...fields, atMs: Date.now() };
    const isEmpty = !mark.read && mark.draft === undefined;
    if (isEmpty) this.marks.delete(to);
    else this.marks.set(to, mark);
    if (!this.prefix || this.isOver) return;
    try {
      if (isEmpty) localStorage.removeItem(this.prefix + to);
      else localStorage.setItem(this.prefix + to, JSON.stringify(mark));
    } catch {
      // as above
    }
  }

  // ---- made ----

  read(id: string, seq: number): void {
    const before = this.newest(id) ?? { atMs: 0 };
    this.put(id, { ...before, read: Math.max(seq, before.read ?? 0) });
    void this.tell();
  }

  keepDraft(to: string, draft: string): void {
    this.drafts.set(to, draft);
    const { draft: _, isLocal: _was, ...rest } = this.newest(to) ?? { atMs: 0 };
    this.put(to, draft || isTold(to) ? { ...rest, draft } : rest);
    if (isTold(to)) this.tellAfter(draftPauseMs);
  }

  // Whom one wrote to has a conversation by now: what is being written goes on there.
  move(from: string, to: string): void {
    const draft = this.draftOf(from);
    if (!draft) return;
    this.keepDraft(from, "");
    this.keepDraft(to, draft);
  }

  // undefined: none here; the server may have one.
  draftOf(to: string): string | undefined {
    return this.drafts.get(to) ?? this.marks.get(to)?.draft;
  }

  // A conversation as it will be when the server has heard all.
  over(c: Conversation): Conversation {
    const read = this.marks.get(c.id)?.read ?? 0;
    if (!c.own || read <= c.own.read_seq) return c;
    const unread_count = Math.min(c.own.unread_count, Math.max(0, c.last_seq - read));
    return { ...c, own: { ...c.own, read_seq: read, unread_count, mention_count: Math.min(c.own.mention_count, unread_count), is_marked_unread: false } };
  }

  // ---- told ----

  private tellAfter(ms: number): void {
    clearTimeout(this.timer);
    if (!this.isOver) this.timer = setTimeout(() => void this.tell(), ms);
  }

  async tell(): Promise<void> {
    if (this.isTelling) return;
    this.isTelling = true;
    try {
      let problem: unknown;
      for (const [id] of [...this.marks].filter(isWaiting)) if (this.options.isOpen()) await this.tellOne(id).catch((error) => (problem ??= error)); // one holds up no other
      if (problem) throw problem;
      this.tries = 0;
      if ([...this.marks].some(isWaiting) && this.options.isOpen()) this.tellAfter(draftPauseMs); // made meanwhile
    } catch (error) {
      // Without a connection the next one begins anew.
      if (errorCode(error) !== "offline") this.tellAfter(pauseMs(this.tries++, busy));
    } finally {
      this.isTelling = false;
    }
  }

  private async tellOne(id: string): Promise<void> {
    const { read, draft, isLocal } = this.marks.get(id) ?? {};
    if (read) await this.ask(id, "mark_as_read", { id, seq: read });
    const told = draft === undefined || isLocal ? null : await this.ask<Conversation>(id, "set_own", { id, draft });
    // From now on the server's counts: other devices write it, too.
    if (told?.own && (this.drafts.get(id) ?? draft) === draft) {
      this.options.onTold(told);
      this.drafts.delete(id);
    }
    // What was added meanwhile is told next time; a draft that is refused is nowhere else.
    const now = this.newest(id);
    if (!now) return;
    const isNew = now.draft !== undefined && now.draft !== draft;
    const isRefused = Boolean(now.draft) && !isNew && !told;
    this.put(id, { ...(now.read && now.read !== read ? { read: now.read } : {}), ...(isNew || isRefused ? { draft: now.draft } : {}), ...(isRefused ? { isLocal: true } : {}) });
  }

  // null: refused for good.
  private async ask<T>(id: string, name: string, body: object): Promise<T | null> {
    try {
      return await this.options.request<T>(name, body);
    } catch (error) {
      if (!isLasting(errorCode(error))) throw error;
      this.options.onRefused(id);
      return null;
    }
  }
}
