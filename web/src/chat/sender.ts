// Sends what was written: one after the other, again after every reconnect, each under its client_msg_id for ever, so that
// it is there once. What waits is kept in the browser (outbox.ts) and belongs to the tab it was written in; when that tab is
// gone, another takes it over.
import { signal } from "@preact/signals";
import { errorCode, errorText } from "../app/errors";
import type { Log } from "./log";
import { newId } from "./ids";
import * as outbox from "./outbox";
import type { SendReply } from "./types";

const busyPauseMs = 3_000;
// After so many refusals for reasons that pass the person is told, and may try again.
const triesMost = 6;

export interface SenderOptions {
  request: <T>(name: string, body: object) => Promise<T>;
  isOpen: () => boolean;
  logOf: (conversationId: string) => Log | undefined;
}

export class Sender {
  readonly box = signal<outbox.Outgoing[]>([]);
  // Where a conversation that began with its first message is found now.
  readonly moved = signal<Map<string, string>>(new Map());
  private readonly tab = newId();
  private readonly tries = new Map<string, number>();
  private isPumping = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private letGo: () => void = () => undefined;

  constructor(private readonly me: string, private readonly options: SenderOptions) {
    this.box.value = outbox.kept(me);
    addEventListener("storage", this.onStorage);
    this.holdTab();
  }

  close(): void {
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
    for (const o of foreign) if (!living.has(lockOf(o.owner ?? ""))) this.put({ ...o, owner: this.tab });
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
  };

  private put(item: outbox.Outgoing): void {
    const isKnown = this.box.value.some((o) => o.clientMsgId === item.clientMsgId);
    this.box.value = isKnown ? this.box.value.map((o) => (o.clientMsgId === item.clientMsgId ? item : o)) : [...this.box.value, item];
    outbox.keep(this.me, item);
  }

  send(to: string, saying: outbox.Saying): void {
    this.put({ ...saying, clientMsgId: newId(), to, atMs: Date.now(), state: "pending", error: "", seq: 0, owner: this.tab });
    void this.pump();
  }

  sendAgain(id: string): void {
    const item = this.box.value.find((o) => o.clientMsgId === id);
    if (!item) return;
    this.tries.delete(id);
    this.put({ ...item, state: "pending", error: "", owner: this.tab });
    void this.pump();
  }

  discard(id: string): void {
    this.box.value = outbox.without(this.box.value, id);
    outbox.forget(this.me, id);
  }

  // In the order in which they were written.
  async pump(): Promise<void> {
    if (this.isPumping || !this.options.isOpen()) return;
    this.isPumping = true;
    try {
      await this.takeOver();
      for (let item; this.options.isOpen() && (item = outbox.nextToSend(this.box.value, this.tab)); ) {
        if (!(await this.sendOne(item))) break;
      }
    } finally {
      this.isPumping = false;
    }
  }

  // False: not now; the item keeps waiting.
  private async sendOne(o: outbox.Outgoing): Promise<boolean> {
    try {
      const reply = await this.options.request<SendReply>("send_message", { ...outbox.requestOf(o), client_msg_id: o.clientMsgId });
      if (o.to.startsWith("u:")) this.moved.value = new Map(this.moved.value).set(o.to, reply.conversation_id);
      this.box.value = outbox.acknowledged(this.box.value, o.clientMsgId, reply.conversation_id, reply.seq);
      outbox.forget(this.me, o.clientMsgId);
      this.tries.delete(o.clientMsgId);
      this.dropSeen(reply.conversation_id);
      return true;
    } catch (error) {
      return this.onRefused(o, error);
    }
  }

  private onRefused(o: outbox.Outgoing, error: unknown): boolean {
    const code = errorCode(error);
    if (code === "offline") return false;
    const tries = (this.tries.get(o.clientMsgId) ?? 0) + 1;
    this.tries.set(o.clientMsgId, tries);
    if (outbox.isLasting(code) || tries >= triesMost) {
      this.put({ ...o, state: "failed", error: errorText(error) });
      return true;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.pump(), busyPauseMs);
    return false;
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
