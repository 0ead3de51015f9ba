// Sends what was written: in each conversation one after the other, again after every reconnect, each under its client_msg_id
// for ever, so that it is there once. What waits is kept in the browser (outbox.ts) and belongs to the tab it was written in;
// when that tab is gone, or has not got it out for long, another takes it over. Only a refusal that will not pass ends it.
import { signal } from "@preact/signals";
import { errorCode, errorText } from "../app/errors";
import type { Log } from "./log";
import { newId } from "./ids";
import * as outbox from "./outbox";
import { pauseMs } from "../app/pause";
import type { SendReply } from "./types";

const busy = { firstMs: 2_000, mostMs: 60_000 };
// A tab that lives and does not send is frozen, or its socket is: the id makes a second sending harmless.
const stuckAfterMs = 120_000;
// Nothing can be planned for a moment as near as this.
const soonestMs = 10_000;

export interface SenderOptions {
  request: <T>(name: string, body: object) => Promise<T>;
  isOpen: () => boolean;
  logOf: (conversationId: string) => Log | undefined;
  // A conversation began; told before `moved` is.
  onMoved: (from: string, to: string) => void;
  // The server has it and will send it at its time.
  onPlanned: (item: outbox.Outgoing) => void;
}

interface Pause {
  tries: number;
  untilMs: number;
}

export class Sender {
  readonly box = signal<outbox.Outgoing[]>([]);
  // Where a conversation that began with its first message is found now.
  readonly moved = signal<Map<string, string>>(new Map());
  private readonly tab = newId();
  // By conversation: not before.
  private readonly pauses = new Map<string, Pause>();
  private readonly watched = new Set<string>();
  private isPumping = false;
  private isOver = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private letGo: () => void = () => undefined;

  // `me` "": of somebody without an account nothing is kept.
  constructor(private readonly me: string, private readonly options: SenderOptions) {
    this.box.value = outbox.kept(me);
    addEventListener("storage", this.onStorage);
    this.holdTab();
  }

  // Nothing more is sent or kept: the account's things may be about to go.
  close(): void {
    this.isOver = true;
    removeEventListener("storage", this.onStorage);
    clearTimeout(this.timer);
    this.letGo();
  }

  // Other tabs see by this lock that ours lives.
  private holdTab(): void {
    const locks = navigator.locks as LockManager | undefined;
    const held = new Promise<void>((resolve) => (this.letGo = resolve));
    locks?.request(lockOf(this.tab), () => held).catch(() => undefined);
  }

  private async takeOver(): Promise<void> {
    const foreign = this.box.value.filter((o) => o.owner !== this.tab);
    if (!foreign.length) return;
    const locks = navigator.locks as LockManager | undefined;
    const living = new Set((await locks?.query())?.held?.map((l) => l.name));
    for (const o of foreign) {
      const isStuck = o.state === "pending" && Date.now() - o.atMs > stuckAfterMs;
      if (!living.has(lockOf(o.owner ?? "")) || isStuck) this.put({ ...o, owner: this.tab });
      else this.watch(o.owner ?? "");
    }
  }

  // Tells when that tab is gone, however it went.
  private watch(owner: string): void {
    if (this.watched.has(owner)) return;
    this.watched.add(owner);
    const onGone = () => {
      this.watched.delete(owner);
      if (!this.isOver) setTimeout(() => void this.pump(), 0);
    };
    navigator.locks.request(lockOf(owner), onGone).catch(() => undefined);
  }

  // Another tab wrote, sent, failed or discarded something.
  private onStorage = (e: StorageEvent): void => {
    const id = outbox.idOfKey(this.me, e.key);
    if (!id) return;
    const known = this.box.value.find((o) => o.clientMsgId === id);
    if (known?.owner === this.tab && known.state === "sent") return;
    const now = outbox.read(e.newValue);
    const others = outbox.without(this.box.value, id);
    this.box.value = now ? [...others, now].sort((a, b) => a.atMs - b.atMs) : others;
    const { owner } = now ?? {};
    if (owner && owner !== this.tab && "locks" in navigator) this.watch(owner);
  };

  private put(item: outbox.Outgoing): void {
    const isKnown = this.box.value.some((o) => o.clientMsgId === item.clientMsgId);
    this.box.value = isKnown ? this.box.value.map((o) => (o.clientMsgId === item.clientMsgId ? item : o)) : [...this.box.value, item];
    if (!this.isOver) outbox.keep(this.me, item);
  }

  // `clientMsgId`: of something that may have been sent before under it.
  send(to: string, saying: outbox.Saying, clientMsgId = newId()): void {
    this.put({ ...saying, clientMsgId, to, atMs: Date.now(), state: "pending", error: "", seq: 0, owner: this.tab });
    void this.pump();
  }

  // The person wants it now: what was planned for a moment that has passed goes at once.
  sendAgain(id: string): void {
    const item = this.box.value.find((o) => o.clientMsgId === id);
    if (!item) return;
    const { sendAtMs = 0, ...rest } = item;
    const isToCome = sendAtMs > Date.now() + soonestMs;
    this.pauses.delete(item.to);
    this.put({ ...rest, ...(isToCome ? { sendAtMs } : {}), state: "pending", error: "", owner: this.tab });
    void this.pump();
  }

  discard(id: string): void {
    this.box.value = outbox.without(this.box.value, id);
    outbox.forget(this.me, id);
  }

  // A new connection: what had to wait for the server need not wait any more.
  resume(): Promise<void> {
    this.pauses.clear();
    return this.pump();
  }

  // In the order in which they were written; a conversation that has to wait holds up no other.
  async pump(): Promise<void> {
    if (this.isPumping || this.isOver || !this.options.isOpen()) return;
    this.isPumping = true;
    try {
      await this.takeOver();
      for (let item; !this.isOver && this.options.isOpen() && (item = this.next()); ) if (!(await this.sendOne(item))) break;
    } finally {
      this.isPumping = false;
      this.pumpLater();
    }
  }

  private next(): outbox.Outgoing | undefined {
    const now = Date.now();
    return outbox.nextToSend(this.box.value, this.tab, (to) => (this.pauses.get(to)?.untilMs ?? 0) > now);
  }

  private pumpLater(): void {
    clearTimeout(this.timer);
    const waiting = this.box.value.filter((o) => o.state === "pending" && o.owner === this.tab).flatMap((o) => this.pauses.get(o.to)?.untilMs ?? []);
    if (waiting.length && !this.isOver) this.timer = setTimeout(() => void this.pump(), Math.max(50, Math.min(...waiting) - Date.now()));
  }

  // False: there is no connection; all keep waiting.
  private async sendOne(o: outbox.Outgoing): Promise<boolean> {
    try {
      const reply = await this.options.request<SendReply>("send_message", { ...outbox.requestOf(o), client_msg_id: o.clientMsgId });
      this.pauses.delete(o.to);
      if (o.to.startsWith("u:")) {
        this.options.onMoved(o.to, reply.conversation_id);
        this.moved.value = new Map(this.moved.value).set(o.to, reply.conversation_id);
      }
      this.box.value = outbox.acknowledged(this.box.value, o.clientMsgId, reply.conversation_id, reply.seq);
      outbox.forget(this.me, o.clientMsgId);
      if (o.sendAtMs && !reply.seq) {
        this.discard(o.clientMsgId);
        this.options.onPlanned(o);
      }
      this.dropSeen(reply.conversation_id);
      return true;
    } catch (error) {
      return this.onRefused(o, error);
    }
  }

  private onRefused(o: outbox.Outgoing, error: unknown): boolean {
    const code = errorCode(error);
    if (code === "offline") return false;
    // It may have been discarded meanwhile.
    const isHere = this.box.value.some((x) => x.clientMsgId === o.clientMsgId);
    if (outbox.isLasting(code)) {
      if (isHere) this.put({ ...o, state: "failed", error: errorText(error) });
      return true;
    }
    const tries = (this.pauses.get(o.to)?.tries ?? 0) + 1;
    this.pauses.set(o.to, { tries, untilMs: Date.now() + pauseMs(tries - 1, busy) });
    if (isHere) this.put({ ...o, error: errorText(error) });
    return true;
  }

  // Acknowledged and in the log, or in a log that is not looked at: nothing to show for it any more.
  private dropSeen(id: string): void {
    const log = this.options.logOf(id);
    this.box.value = this.box.value.filter(
      (o) => o.to !== id || o.state !== "sent" || (log && !log.hasNewer && !log.messages.some((m) => m.client_msg_id === o.clientMsgId)),
    );
  }

  // The log has brought it.
  dropSent(clientMsgId: string): void {
    if (this.box.value.some((o) => o.clientMsgId === clientMsgId)) this.discard(clientMsgId);
  }
}

const lockOf = (tab: string) => `parlance.tab.${tab}`;
