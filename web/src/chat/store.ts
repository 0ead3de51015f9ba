// The chat of one person: conversations, logs and the outbox as signals, kept true over the socket. Which one a page has
// stands in current-store.ts, what is made of changes in log.ts and outbox.ts.
import { computed, effect, signal } from "@preact/signals";
import { renew, token } from "../app/api";
import { errorCode } from "../app/errors";
import { dateTimeText } from "../app/dates";
import { unreadMessages } from "../app/unread";
import { t } from "../i18n/i18n";
import { toast } from "../ui/toast";
import type { LinkState, Wire } from "./link";
import { isQuiet } from "./inbox";
import { applyAll, applyChange, emptyLog, mergeHistory, updateConversation, type Log } from "./log";
import { Marks } from "./marks";
import { Members } from "./members";
import type * as outbox from "./outbox";
import { knownPeople, recallPeople } from "./people";
import type { Snapshot } from "./local";
import { Sender } from "./sender";
import { Shelf } from "./shelf";
import { StoreDeeds } from "./store-deeds";
import { Threads } from "./threads";
import { openWire } from "./shared-link";
import { Typing } from "./typing";
import type { Change, ChangeList, Conversation, History, Member, Message, Receipt, SyncReply } from "./types";

const conversationsMost = 200;
const openMost = 20;
const pageMost = 60;
const pagePauseMs = 2_000;
const syncEveryMs = 60_000;
const syncAgainMs = 5_000;
const deliveredPauseMs = 400;
const conversationsHeld = 1_000;
const warmAfterMs = 3_000;

export class ChatStore extends StoreDeeds {
  readonly link = signal<LinkState>("connecting");
  readonly isLoaded = signal(false);
  readonly conversations = signal<Map<string, Conversation>>(new Map());
  readonly hasMore = signal(false);
  private readonly held = new Threads();
  readonly threads = this.held.list;
  readonly paging = this.held.paging;
  private readonly belonging = new Members();
  readonly members = this.belonging.lists;
  // A message one is sent to; the thread shows it.
  readonly sought = signal<{ id: string; seq: number } | null>(null);
  readonly sorted = computed(() => [...this.conversations.value.values()].sort((a, b) => b.active_at_ms - a.active_at_ms));
  // Who else listens to what the server tells by itself: presence, notifications.
  readonly heard = new Set<(name: string, body: unknown) => void>();

  private readonly sender: Sender;
  private readonly marks: Marks;
  private readonly typist = new Typing((id) => void this.request("typing", { id }).catch(() => undefined));
  private readonly socket: Wire;
  private readonly shelf = new Shelf();
  // What this browser kept is drawn, or known not to be there.
  private readonly isDrawn: Promise<void>;
  private cursor = "";
  private listCursor = "";
  private openId = "";
  private catching = new Set<string>();
  private pageAgainAtMs = 0;
  private timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly syncTimer: ReturnType<typeof setInterval>;
  private readonly stopCounting: () => void;

  // `guestToken`: of somebody without an account, of whom nothing is kept and who shares nothing with other tabs.
  constructor(readonly me: string, guestToken?: () => string) {
    super();
    const account = guestToken ? "" : me;
    this.marks = new Marks(account, {
      request: (name, body) => this.request(name, body),
      isOpen: () => this.link.value === "open",
      onTold: (c) => this.adopt(c), onRefused: (id) => void this.reload(id),
    });
    this.sender = new Sender(account, {
      request: (name, body) => this.request(name, body),
      isOpen: () => this.link.value === "open",
      logOf: (id) => this.threads.value.get(id)?.log,
      onMoved: (from, to) => this.marks.move(from, to),
      onPlanned: (item) => toast(t("chat.scheduledFor", { when: dateTimeText(item.sendAtMs ?? 0) }), "good"),
    });
    this.isDrawn = guestToken ? Promise.resolve() : this.drawKept();
    this.stopCounting = effect(() => {
      if (guestToken) return;
      unreadMessages.value = this.sorted.value.reduce((sum, c) => sum + (isQuiet(c, Date.now()) || c.own?.is_archived ? 0 : (c.own?.unread_count ?? 0)), 0);
    });
    this.syncTimer = setInterval(() => {
      if (this.link.value !== "open") return;
      void this.sync();
      void this.sender.pump(); // what a tab that is gone has left
    }, syncEveryMs);
    this.socket = openWire(account, {
      token: async (isRefused) => (guestToken ? guestToken() : isRefused && !(await renew()) ? null : token()),
      onState: (state) => (this.link.value = state),
      onReady: () => void this.onReady(),
      onEvent: (name, body) => this.onEvent(name, body),
    });
  }

  get box() {
    return this.sender.box;
  }

  get moved() {
    return this.sender.moved;
  }

  get typing() {
    return this.typist.users;
  }

  close(): void {
    this.shelf.close();
    this.sender.close();
    this.marks.close();
    this.typist.close();
    clearInterval(this.syncTimer);
    this.timers.forEach(clearTimeout);
    this.stopCounting();
    this.socket.close();
    unreadMessages.value = 0;
  }

  retryNow = (): void => this.socket.retryNow();

  request<T>(name: string, body: object): Promise<T> {
    return this.socket.request<T>(name, body);
  }

  // ---- what this browser kept ----

  private drawKept(): Promise<void> {
    const take = (kept: Snapshot) => {
      recallPeople(kept.people);
      this.cursor = kept.cursor;
      this.hasMore.value = kept.hasMore;
      this.conversations.value = new Map(kept.conversations.map((c) => [c.id, this.marks.over(c)]));
      if (kept.cursor) this.isLoaded.value = true;
    };
    const look = () => ({
      cursor: this.cursor, hasMore: this.hasMore.value, conversations: this.conversations.value, logs: this.held.whole.value, people: knownPeople.value,
    });
    return this.shelf.open(this.me, take, look, () => toast(t("chat.notKept"), "info"));
  }

  private async drawThread(id: string): Promise<void> {
    await this.isDrawn;
    const log = await this.shelf.log(id);
    if (log && !this.threads.value.has(id)) this.held.set(id, { log, state: "ready", isStale: true });
  }

  private warm(): Promise<void> {
    const isWanted = (id: string) => this.link.value === "open" && !this.threads.value.has(id);
    return this.shelf.warm(this.sorted.value, isWanted, (id, limit) => this.request<History>("get_message_history", { id, limit }));
  }

  // ---- catching up ----

  private async onReady(): Promise<void> {
    await this.isDrawn;
    await this.sync();
    void this.marks.tell();
    await this.sender.resume();
    this.soon("warm", warmAfterMs, () => void this.warm());
    while (this.hasMore.value && this.link.value === "open" && this.conversations.value.size < conversationsHeld) {
      const before = this.conversations.value.size;
      await this.loadMore().catch(() => undefined);
      if (this.conversations.value.size === before) break;
    }
  }

  private async sync(): Promise<void> {
    const open = [...this.threads.value].filter(([, t]) => t.state === "ready").slice(-openMost);
    try {
      const reply = await this.request<SyncReply>("sync", {
        cursor: this.cursor, limit: conversationsMost, open: open.map(([id, t]) => ({ conversation_id: id, rev: t.log.rev })),
      });
      this.cursor = reply.cursor;
      if (reply.is_reset) this.reset(reply);
      else this.putConversations(reply.conversations ?? []);
      if (!reply.is_reset) open.forEach(([id], i) => this.onMissed(id, reply.open_changes?.[i]));
      if (reply.is_partial) this.syncAgain();
      this.isLoaded.value = true;
      if (this.openId) void this.open(this.openId);
    } catch (error) {
      if (errorCode(error) === "unavailable") this.syncAgain();
      // Cut again: the next connection begins anew. A cursor that is refused is worth nothing.
      if (errorCode(error) !== "invalid_argument" || !this.cursor) return;
      this.cursor = "";
      await this.sync();
    }
  }

  // A part of the server is away, and nobody tells when it is back.
  private syncAgain(): void {
    this.soon("sync", syncAgainMs, () => void (this.link.value === "open" && this.sync()));
  }

  private reset(reply: SyncReply): void {
    this.conversations.value = new Map((reply.conversations ?? []).map((c) => [c.id, this.marks.over(c)]));
    this.hasMore.value = reply.has_more;
    this.listCursor = "";
    this.shelf.drop(this.conversations.value.keys());
    this.threads.value = new Map();
  }

  private onMissed(id: string, list: ChangeList | undefined): void {
    if (!list) return;
    if (list.rev === 0) return this.forget(id);
    const thread = this.threads.value.get(id);
    if (thread) this.held.set(id, { log: applyAll(thread.log, list.changes ?? [], this.me), isStale: list.has_more });
    if (list.has_more) void this.catchUp(id);
  }

  // Asks for what is missing until nothing is.
  private async catchUp(id: string): Promise<void> {
    if (this.catching.has(id)) return;
    this.catching.add(id);
    try {
      for (;;) {
        const thread = this.threads.value.get(id);
        if (!thread) break;
        const list = await this.request<ChangeList>("get_changes", { id, after_rev: thread.log.rev, limit: 200 });
        const now = this.threads.value.get(id);
        if (!now) break;
        const log = applyAll(now.log, list.changes ?? [], this.me);
        this.held.set(id, { log: list.has_more ? log : { ...log, rev: Math.max(log.rev, list.rev) }, isStale: list.has_more });
        if (!list.has_more || !list.changes?.length) break;
      }
    } catch (error) {
      if (errorCode(error) === "not_found") this.forget(id);
      // else: the next sync finds the same hole
    } finally {
      this.catching.delete(id);
    }
    await this.reload(id);
  }

  private putConversations(list: Conversation[]): void {
    if (!list.length) return;
    const next = new Map(this.conversations.value);
    for (const c of list) next.set(c.id, this.marks.over(c));
    this.conversations.value = next;
  }

  private forget(id: string): void {
    const conversations = new Map(this.conversations.value);
    conversations.delete(id);
    this.conversations.value = conversations;
    this.held.drop(id);
  }

  async reload(id: string): Promise<void> {
    try {
      const c = await this.request<Conversation>("get_conversation", { id });
      // What came meanwhile is newer.
      if (c.rev >= (this.conversations.value.get(id)?.rev ?? 0)) this.putConversations([c]);
    } catch (error) {
      if (errorCode(error) === "not_found") this.forget(id);
    }
  }

  // The chat of a meeting, whose id is not that of the meeting.
  async findMeeting(meetingId: string): Promise<string> {
    const c = await this.request<Conversation>("get_conversation", { id: `m:${meetingId}` });
    this.adopt(c);
    this.moved.value = new Map(this.moved.value).set(`m:${meetingId}`, c.id);
    return c.id;
  }

  async loadMore(): Promise<void> {
    const reply = await this.request<{ conversations?: Conversation[]; next_cursor: string }>("get_conversations", {
      limit: conversationsMost, cursor: this.listCursor,
    });
    this.listCursor = reply.next_cursor;
    this.hasMore.value = reply.next_cursor !== "";
    const known = this.conversations.value;
    this.putConversations((reply.conversations ?? []).filter((c) => (known.get(c.id)?.rev ?? -1) < c.rev));
  }

  // ---- events ----

  private onEvent(name: string, body: unknown): void {
    this.heard.forEach((hear) => hear(name, body));
    if (name === "change") this.onChange(body as Change);
    else if (name === "own") this.onOwn(body as Conversation);
    else if (name === "receipt") this.belonging.onReceipt(body as Receipt);
    else if (name === "is_typing") this.onTyping(body as { conversation_id: string; user_id: string });
    else if (name === "heads") this.onHeads((body as { heads?: { conversation_id: string; rev: number }[] }).heads ?? []);
    else if (name === "missed") void this.sync();
  }

  // Large conversations that moved, told without what was said.
  private onHeads(heads: { conversation_id: string; rev: number }[]): void {
    for (const { conversation_id: id, rev } of heads)
      if ((this.conversations.value.get(id)?.rev ?? -1) < rev) this.soon(`reload ${id}`, 500, () => void this.reload(id));
  }

  private onChange(change: Change): void {
    const id = change.conversation_id;
    const known = this.conversations.value.get(id);
    // Unknown, or something between was missed: its counts are not to be trusted.
    if (!known || change.prev_rev > known.rev) this.soon(`reload ${id}`, 50, () => void this.reload(id));
    else this.putConversations([updateConversation(known, change, this.me)]);
    const thread = this.threads.value.get(id);
    if (thread?.state === "ready") {
      const { log, verdict } = applyChange(thread.log, change, this.me);
      if (verdict === "hole") void this.catchUp(id);
      else this.held.set(id, { log });
    }
    if (change.member) this.belonging.put(change.member);
    const m = change.message;
    if (change.type !== "message" || !m) return;
    if (m.sender_id === this.me) this.sender.dropSent(m.client_msg_id);
    else {
      this.typist.end(id, m.sender_id);
      this.soon(`delivered ${id}`, deliveredPauseMs, () => void this.request("mark_delivered", { id, seq: m.seq }).catch(() => undefined));
    }
  }

  private onOwn(c: Conversation): void {
    const known = this.conversations.value.get(c.id);
    if (known && c.own) this.putConversations([{ ...known, own: c.own }]);
    else if (!known) this.soon(`reload ${c.id}`, 50, () => void this.reload(c.id));
  }

  private onTyping({ conversation_id: id, user_id: user }: { conversation_id: string; user_id: string }): void {
    if (user !== this.me) this.typist.begin(id, user);
  }

  // Once, after a pause; a newer wish of the same name takes the place of the older.
  private soon(name: string, afterMs: number, run: () => void): void {
    const waiting = this.timers.get(name);
    if (waiting) clearTimeout(waiting);
    this.timers.set(name, setTimeout(() => (this.timers.delete(name), run()), afterMs));
  }

  // ---- threads ----

  // Shows a conversation: its receipts and typing are told from now on. `aroundSeq`: at an older place.
  async open(id: string, aroundSeq = 0): Promise<void> {
    if (this.openId && this.openId !== id) void this.request("open", { id: this.openId, is_closed: true }).catch(() => undefined);
    this.openId = id;
    if (!this.threads.value.has(id) && !aroundSeq) await this.drawThread(id);
    if (this.link.value !== "open" || this.openId !== id) return;
    void this.request("open", { id }).catch(() => undefined);
    void this.loadMembers(id);
    const thread = this.threads.value.get(id);
    const isHeld = !aroundSeq || thread?.log.messages.some((m) => m.seq === aroundSeq);
    if (!thread || thread.state === "failed" || !isHeld || this.isFarBehind(id)) await this.load(id, aroundSeq || this.firstUnread(id));
    else if (thread.isStale) await this.catchUp(id);
    this.held.letGo(this.openId);
  }

  // So much was said since it was kept that loading it anew is less than catching up.
  private isFarBehind(id: string): boolean {
    const thread = this.threads.value.get(id);
    const lastSeq = this.conversations.value.get(id)?.last_seq ?? 0;
    const held = thread?.log.messages[thread.log.messages.length - 1]?.seq ?? 0;
    return thread?.isStale === true && lastSeq - held > pageMost;
  }

  // With more unread than a page holds one begins there and not at the end.
  private firstUnread(id: string): number {
    const own = this.conversations.value.get(id)?.own;
    return own && own.unread_count > pageMost / 2 ? own.read_seq + 1 : 0;
  }

  leave(id: string): void {
    if (this.openId !== id) return;
    this.openId = "";
    if (this.sought.value?.id === id) this.sought.value = null; // one comes back to the end, or to another message
    void this.request("open", { id, is_closed: true }).catch(() => undefined);
  }

  // Changes that happen while the history is on its way are asked for afterwards, from the revision known before.
  async load(id: string, aroundSeq = 0): Promise<void> {
    this.held.set(id, { state: "loading" });
    try {
      if (!this.conversations.value.has(id)) this.putConversations([await this.request<Conversation>("get_conversation", { id })]);
      const rev = this.conversations.value.get(id)?.rev ?? 0;
      const page = await this.request<History>("get_message_history", {
        id, limit: pageMost, ...(aroundSeq ? { around_seq: aroundSeq } : {}),
      });
      this.held.set(id, { log: mergeHistory(emptyLog(rev), page, "fresh"), state: "ready", isStale: false });
      await this.catchUp(id);
    } catch (error) {
      if (errorCode(error) === "not_found") this.forget(id);
      this.held.set(id, { state: "failed" });
    }
  }

  async page(id: string, where: "older" | "newer"): Promise<void> {
    const thread = this.threads.value.get(id);
    const { messages } = thread?.log ?? emptyLog();
    const edge = where === "older" ? messages[0] : messages[messages.length - 1];
    if (!thread || this.paging.peek().has(id) || !edge || !thread.log[where === "older" ? "hasOlder" : "hasNewer"]) return;
    if (this.link.value !== "open" || Date.now() < this.pageAgainAtMs) return;
    this.held.setPaging(id, true);
    try {
      const page = await this.request<History>("get_message_history", {
        id, limit: pageMost, ...(where === "older" ? { before_seq: edge.seq } : { after_seq: edge.seq }),
      });
      const now = this.threads.value.get(id);
      if (now) this.held.set(id, { log: this.unlessMoreCame(id, mergeHistory(now.log, page, where)) });
    } catch {
      this.pageAgainAtMs = Date.now() + pagePauseMs;
    } finally {
      this.held.setPaging(id, false);
    }
  }

  // What was said while the last page was on its way is neither in it nor was there an end to append it to.
  private unlessMoreCame(id: string, log: Log): Log {
    const lastSeq = this.conversations.value.get(id)?.last_seq ?? 0;
    return !log.hasNewer && lastSeq > (log.messages[log.messages.length - 1]?.seq ?? 0) && log.rev >= (this.conversations.value.get(id)?.rev ?? 0)
      ? { ...log, hasNewer: true }
      : log;
  }

  async messagesAround(id: string, seq: number, limit: number): Promise<Message[]> {
    return (await this.request<History>("get_message_history", { id, limit, around_seq: seq })).messages ?? [];
  }

  // Shows a message of an open conversation, wherever it stands.
  seek(id: string, seq: number): void {
    this.sought.value = { id, seq };
    if (!this.threads.value.get(id)?.log.messages.some((m) => m.seq === seq)) void this.load(id, seq);
  }

  async loadMembers(id: string): Promise<void> {
    try {
      const reply = await this.request<{ members?: Member[] }>("list_members", { id, limit: 100 });
      this.belonging.set(id, reply.members ?? []);
    } catch {
      // no ticks and no list until the next look
    }
  }

  read(id: string, seq: number): void {
    const c = this.conversations.value.get(id);
    if (!c?.own || seq < 1 || (seq <= c.own.read_seq && !c.own.is_marked_unread)) return;
    this.putConversations([{ ...c, own: { ...c.own, read_seq: Math.max(seq, c.own.read_seq), unread_count: 0, mention_count: 0, is_marked_unread: false } }]);
    this.marks.read(id, Math.max(seq, c.own.read_seq));
  }

  tellTyping = (id: string): void => this.typist.tellOwn(id);

  // `to` may also be a thread of a conversation, "id/seq".
  keepDraft(to: string, draft: string): void {
    this.marks.keepDraft(to, draft);
  }

  draftOf(to: string): string {
    return this.marks.draftOf(to) ?? this.conversations.value.get(to)?.own?.draft ?? "";
  }

  // ---- writing ----

  // `clientMsgId`: of what may have been sent before, from a page that is gone.
  send(to: string, saying: outbox.Saying, clientMsgId?: string): void {
    this.sender.send(to, saying, clientMsgId);
    this.typist.endOwn();
  }

  sendAgain = (id: string): void => this.sender.sendAgain(id);

  discard = (id: string): void => this.sender.discard(id);

  protected async dropMessages(id: string, seqs: number[]): Promise<void> {
    const thread = this.threads.value.get(id);
    if (thread) this.held.set(id, { log: { ...thread.log, messages: thread.log.messages.filter((m) => !seqs.includes(m.seq)) } });
    if (seqs.includes(this.conversations.value.get(id)?.last_message?.seq ?? 0)) await this.reload(id);
  }

  // A conversation as an answer brought it.
  adopt(c: Conversation): void {
    this.putConversations([{ ...this.conversations.value.get(c.id), ...c }]);
  }

  // Every message this page or this browser holds.
  async heldMessages(): Promise<Message[]> {
    const kept = await this.shelf.logs();
    const logs = new Map([...kept, ...[...this.threads.peek()].map(([id, { log }]): [string, Log] => [id, log])]);
    return [...logs.values()].flatMap((log) => log.messages);
  }
}
