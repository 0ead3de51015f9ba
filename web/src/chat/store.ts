// The chat of the signed-in person: conversations, logs and the outbox as signals, kept true over the socket. One for the
// page, alive from the first look at it to the sign-out. What it makes of changes stands in log.ts and outbox.ts.
import { computed, effect, signal } from "@preact/signals";
import { ApiError, renew, signedIn, token } from "../app/api";
import { errorCode } from "../app/errors";
import { dateTimeText } from "../app/dates";
import { unreadMessages } from "../app/unread";
import { t } from "../i18n/i18n";
import { toast } from "../ui/toast";
import type { LinkState, Wire } from "./link";
import { isQuiet } from "./inbox";
import { applyAll, applyChange, emptyLog, mergeHistory, updateConversation, type Log } from "./log";
import { Members } from "./members";
import { newId } from "./ids";
import type * as outbox from "./outbox";
import { knownPeople, recallPeople } from "./people";
import type { Snapshot } from "./local";
import { Sender } from "./sender";
import { Shelf } from "./shelf";
import { openWire } from "./shared-link";
import { Typing } from "./typing";
import type { Change, ChangeList, Content, Conversation, History, Member, Message, Own, Receipt, SyncReply } from "./types";

export interface Thread {
  log: Log;
  state: "loading" | "ready" | "failed";
  // Drawn from what this browser kept; what happened since is not in it yet.
  isStale?: boolean;
}

const conversationsMost = 200;
const openMost = 20;
// More are held than are asked for at once; the others wait in the browser's database.
const threadsMost = 40;
const pageMost = 60;
const pagePauseMs = 2_000;
const syncEveryMs = 60_000;
const deliveredPauseMs = 400;
const draftPauseMs = 1_200;
const conversationsHeld = 1_000;
const warmAfterMs = 3_000;

export class ChatStore {
  readonly link = signal<LinkState>("connecting");
  readonly isLoaded = signal(false);
  readonly conversations = signal<Map<string, Conversation>>(new Map());
  readonly hasMore = signal(false);
  readonly threads = signal<Map<string, Thread>>(new Map());
  // Older or newer messages are on their way; apart from the threads, which are not drawn anew for it.
  readonly paging = signal<ReadonlySet<string>>(new Set());
  private readonly belonging = new Members();
  readonly members = this.belonging.lists;
  // A message one is sent to; the thread shows it.
  readonly sought = signal<{ id: string; seq: number } | null>(null);
  readonly sorted = computed(() => [...this.conversations.value.values()].sort((a, b) => b.active_at_ms - a.active_at_ms));
  readonly drafts = new Map<string, string>();
  // Who else listens to what the server tells by itself: presence, notifications.
  readonly heard = new Set<(name: string, body: unknown) => void>();

  private readonly sender: Sender;
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
    this.sender = new Sender(me, {
      request: (name, body) => this.request(name, body),
      isOpen: () => this.link.value === "open",
      logOf: (id) => this.threads.value.get(id)?.log,
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
    this.socket = openWire(guestToken ? "" : me, {
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
      this.conversations.value = new Map(kept.conversations.map((c) => [c.id, c]));
      if (kept.cursor) this.isLoaded.value = true;
    };
    const look = () => ({
      cursor: this.cursor, hasMore: this.hasMore.value, conversations: this.conversations.value, logs: this.wholeLogs.value, people: knownPeople.value,
    });
    return this.shelf.open(this.me, take, look, () => toast(t("chat.notKept"), "info"));
  }

  // Logs that lack nothing between their first message and the end.
  private readonly wholeLogs = computed(
    () => new Map([...this.threads.value].filter(([, t]) => t.state === "ready" && !t.isStale && !t.log.hasNewer).map(([id, t]) => [id, t.log])),
  );

  private async drawThread(id: string): Promise<void> {
    await this.isDrawn;
    const log = await this.shelf.log(id);
    if (log && !this.threads.value.has(id)) this.setThread(id, { log, state: "ready", isStale: true });
  }

  private warm(): Promise<void> {
    const isWanted = (id: string) => this.link.value === "open" && !this.threads.value.has(id);
    return this.shelf.warm(this.sorted.value, isWanted, (id, limit) => this.request<History>("get_message_history", { id, limit }));
  }

  // ---- catching up ----

  private async onReady(): Promise<void> {
    await this.isDrawn;
    await this.sync();
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
      this.isLoaded.value = true;
      if (this.openId) void this.open(this.openId);
    } catch (error) {
      // Cut again: the next connection begins anew. A cursor that is refused is worth nothing.
      if (errorCode(error) !== "invalid_argument" || !this.cursor) return;
      this.cursor = "";
      await this.sync();
    }
  }

  private reset(reply: SyncReply): void {
    this.conversations.value = new Map((reply.conversations ?? []).map((c) => [c.id, c]));
    this.hasMore.value = reply.has_more;
    this.listCursor = "";
    this.shelf.drop(this.conversations.value.keys());
    this.threads.value = new Map();
  }

  private onMissed(id: string, list: ChangeList | undefined): void {
    if (!list) return;
    if (list.rev === 0) return this.forget(id);
    const thread = this.threads.value.get(id);
    if (thread) this.setThread(id, { log: applyAll(thread.log, list.changes ?? [], this.me), isStale: list.has_more });
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
        this.setThread(id, { log: list.has_more ? log : { ...log, rev: Math.max(log.rev, list.rev) }, isStale: list.has_more });
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
    for (const c of list) next.set(c.id, c);
    this.conversations.value = next;
  }

  private forget(id: string): void {
    const [conversations, threads] = [new Map(this.conversations.value), new Map(this.threads.value)];
    conversations.delete(id);
    threads.delete(id);
    this.conversations.value = conversations;
    this.threads.value = threads;
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
      else this.setThread(id, { log });
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

  private setThread(id: string, fields: Partial<Thread>): void {
    const before = this.threads.value.get(id) ?? { log: emptyLog(), state: "loading" };
    this.threads.value = new Map(this.threads.value).set(id, { ...before, ...fields });
  }

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
    this.letThreadsGo();
  }

  // So much was said since it was kept that loading it anew is less than catching up.
  private isFarBehind(id: string): boolean {
    const thread = this.threads.value.get(id);
    const lastSeq = this.conversations.value.get(id)?.last_seq ?? 0;
    const held = thread?.log.messages[thread.log.messages.length - 1]?.seq ?? 0;
    return thread?.isStale === true && lastSeq - held > pageMost;
  }

  // The ones opened longest ago.
  private letThreadsGo(): void {
    const opened = this.threads.value.get(this.openId);
    const next = new Map(this.threads.value);
    if (!opened) return;
    next.delete(this.openId);
    next.set(this.openId, opened);
    for (const id of next.keys()) if (next.size > threadsMost) next.delete(id);
    this.threads.value = next;
  }

  // With more unread than a page holds one begins there and not at the end.
  private firstUnread(id: string): number {
    const own = this.conversations.value.get(id)?.own;
    return own && own.unread_count > pageMost / 2 ? own.read_seq + 1 : 0;
  }

  leave(id: string): void {
    if (this.openId !== id) return;
    this.openId = "";
    void this.request("open", { id, is_closed: true }).catch(() => undefined);
  }

  // Changes that happen while the history is on its way are asked for afterwards, from the revision known before.
  async load(id: string, aroundSeq = 0): Promise<void> {
    this.setThread(id, { state: "loading" });
    try {
      if (!this.conversations.value.has(id)) this.putConversations([await this.request<Conversation>("get_conversation", { id })]);
      const rev = this.conversations.value.get(id)?.rev ?? 0;
      const page = await this.request<History>("get_message_history", {
        id, limit: pageMost, ...(aroundSeq ? { around_seq: aroundSeq } : {}),
      });
      this.setThread(id, { log: mergeHistory(emptyLog(rev), page, "fresh"), state: "ready", isStale: false });
      await this.catchUp(id);
    } catch (error) {
      if (errorCode(error) === "not_found") this.forget(id);
      this.setThread(id, { state: "failed" });
    }
  }

  async page(id: string, where: "older" | "newer"): Promise<void> {
    const thread = this.threads.value.get(id);
    const { messages } = thread?.log ?? emptyLog();
    const edge = where === "older" ? messages[0] : messages[messages.length - 1];
    if (!thread || this.paging.peek().has(id) || !edge || !thread.log[where === "older" ? "hasOlder" : "hasNewer"]) return;
    if (this.link.value !== "open" || Date.now() < this.pageAgainAtMs) return;
    this.setPaging(id, true);
    try {
      const page = await this.request<History>("get_message_history", {
        id, limit: pageMost, ...(where === "older" ? { before_seq: edge.seq } : { after_seq: edge.seq }),
      });
      const now = this.threads.value.get(id);
      if (now) this.setThread(id, { log: this.unlessMoreCame(id, mergeHistory(now.log, page, where)) });
    } catch {
      this.pageAgainAtMs = Date.now() + pagePauseMs;
    } finally {
      this.setPaging(id, false);
    }
  }

  private setPaging(id: string, isPaging: boolean): void {
    const next = new Set(this.paging.peek());
    if (isPaging) next.add(id);
    else next.delete(id);
    this.paging.value = next;
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
    this.request("mark_as_read", { id, seq }).catch(() => void this.reload(id));
  }

  tellTyping(id: string): void {
    this.typist.tellOwn(id);
  }

  keepDraft(to: string, draft: string): void {
    this.drafts.set(to, draft);
    if (!to.startsWith("u:"))
      this.soon(`draft ${to}`, draftPauseMs, () => void this.request("set_own", { id: to, draft }).catch(() => undefined));
  }

  draftOf(to: string): string {
    return this.drafts.get(to) ?? this.conversations.value.get(to)?.own?.draft ?? "";
  }

  // ---- writing ----

  // `clientMsgId`: of what may have been sent before, from a page that is gone.
  send(to: string, saying: outbox.Saying, clientMsgId?: string): void {
    this.sender.send(to, saying, clientMsgId);
    this.typist.endOwn();
  }

  sendAgain(id: string): void {
    this.sender.sendAgain(id);
  }

  discard(id: string): void {
    this.sender.discard(id);
  }

  // ---- what one does to messages; each throws what the server says ----

  async edit(m: Message, content: Content): Promise<void> {
    await this.request("edit_message", { id: m.conversation_id, seq: m.seq, content });
  }

  // Deleted for oneself: gone from what this page holds.
  async hide(id: string, seqs: number[]): Promise<void> {
    await this.request("delete_for_me", { id, seqs });
    const thread = this.threads.value.get(id);
    if (thread) this.setThread(id, { log: { ...thread.log, messages: thread.log.messages.filter((m) => !seqs.includes(m.seq)) } });
    if (seqs.includes(this.conversations.value.get(id)?.last_message?.seq ?? 0)) await this.reload(id);
  }

  // What is one's own of a conversation: quiet_until_ms, is_pinned, is_archived, draft.
  async setOwn(id: string, fields: Partial<Own>): Promise<void> {
    this.adopt(await this.request<Conversation>("set_own", { id, ...fields }));
  }

  // A conversation as an answer brought it.
  adopt(c: Conversation): void {
    this.putConversations([{ ...this.conversations.value.get(c.id), ...c }]);
  }

  async recall(m: Message): Promise<void> {
    await this.request("recall_message", { id: m.conversation_id, seq: m.seq });
  }

  async react(m: Message, emoji: string): Promise<void> {
    const is_removed = m.reactions?.some((r) => r.emoji === emoji && r.is_mine) ?? false;
    await this.request("react", { id: m.conversation_id, seq: m.seq, emoji, is_removed });
  }

  // `clientId` is the wish's, however often it is tried: an answer that got lost makes no second group.
  async createGroup(clientId: string, title: string, userIds: string[], kind: "group" | "channel" = "group"): Promise<string> {
    const c = await this.request<Conversation>("create_group", { kind, title, user_ids: userIds, client_id: clientId });
    this.putConversations([c]);
    return c.id;
  }

  async leaveGroup(id: string): Promise<void> {
    await this.request("leave_group", { id });
    await this.reload(id);
  }

  // Every message this page or this browser holds.
  async heldMessages(): Promise<Message[]> {
    const kept = await this.shelf.logs();
    const logs = new Map([...kept, ...[...this.threads.peek()].map(([id, { log }]): [string, Log] => [id, log])]);
    return [...logs.values()].flatMap((log) => log.messages);
  }
}

export { newId };

let current: ChatStore | null = null;

// The store of whoever is signed in; somebody else's is closed first.
export function chatStore(): ChatStore {
  const me = signedIn.peek()?.user.id;
  if (!me) throw new ApiError("unauthenticated", "nobody is signed in", "", 401);
  if (current?.me !== me) {
    current?.close();
    current = new ChatStore(me);
  }
  return current;
}

effect(() => {
  if (current && signedIn.value?.user.id !== current.me) {
    current.close();
    current = null;
  }
});
