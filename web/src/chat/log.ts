// A conversation's log as far as this page holds it, and what each change makes of it. No socket and no screen in here:
// every function takes a state and returns the next one.
import type { Change, Conversation, History, Member, Message, Reaction } from "./types";

export interface Log {
  // Up to and with it every change is in here.
  rev: number;
  // By seq, without doubles.
  messages: Message[];
  hasOlder: boolean;
  // Not at the end: an older place is looked at.
  hasNewer: boolean;
}

export type Verdict = "known" | "hole" | "applied";

export const emptyLog = (rev = 0): Log => ({ rev, messages: [], hasOlder: true, hasNewer: false });

// Events are made once for all readers: what is mine of the reactions only we can tell.
export function mergeReactions(before: Reaction[], after: Reaction[], change: Change, me: string): Reaction[] {
  return after.map((r) => {
    const wasMine = before.some((b) => b.emoji === r.emoji && b.is_mine);
    const isOwnDeed = change.type === "reaction" && change.actor_id === me && change.emoji === r.emoji;
    const is_mine = isOwnDeed ? !change.is_removed : r.is_mine || wasMine || (r.user_ids ?? []).includes(me);
    return { ...r, is_mine };
  });
}

function put(log: Log, change: Change, me: string): Message[] {
  const m = change.message;
  if (!m) return log.messages;
  const at = log.messages.findIndex((x) => x.seq === m.seq);
  const before = log.messages[at];
  const next: Message = { ...m, reactions: mergeReactions(before?.reactions ?? [], m.reactions ?? [], change, me) };
  if (before) return log.messages.map((x, i) => (i === at ? next : x));
  const last = log.messages[log.messages.length - 1];
  const isAtEnd = !log.hasNewer && (!last || m.seq > last.seq);
  if (change.type !== "message") return log.messages;
  const held = countInThread(log.messages, m);
  return isAtEnd ? [...held, next] : held;
}

// That a thread has one answer more is told by the answer alone.
function countInThread(messages: Message[], m: Message): Message[] {
  if (!m.thread_seq) return messages;
  return messages.map((x) => (x.seq === m.thread_seq ? { ...x, thread_count: (x.thread_count ?? 0) + 1 } : x));
}

export function applyChange(log: Log, change: Change, me: string): { log: Log; verdict: Verdict } {
  if (change.rev <= log.rev) return { log, verdict: "known" };
  if (change.prev_rev > log.rev) return { log, verdict: "hole" };
  const next = { ...log, rev: change.rev, messages: put(log, change, me) };
  return { log: next.messages.length > 2 * heldMost ? cut(next, "newer") : next, verdict: "applied" };
}

// The answer to get_changes is complete from where we asked: no holes are looked for in it.
export function applyAll(log: Log, changes: Change[], me: string): Log {
  return changes.reduce((l, c) => (c.rev <= l.rev ? l : { ...l, rev: c.rev, messages: put(l, c, me) }), log);
}

// So many messages are held of a conversation at a time: at the other end of a longer one they are let go and loaded again.
export const heldMost = 600;

function cut(log: Log, keep: "older" | "newer"): Log {
  const { messages } = log;
  if (messages.length <= heldMost) return log;
  if (keep === "older") return { ...log, messages: messages.slice(0, heldMost), hasNewer: true };
  return { ...log, messages: messages.slice(-heldMost), hasOlder: true };
}

export function mergeHistory(log: Log, page: History, where: "older" | "newer" | "fresh"): Log {
  const got = page.messages ?? [];
  if (where === "fresh") return { ...log, messages: got, hasOlder: page.has_older, hasNewer: page.has_newer };
  const held = new Set(log.messages.map((m) => m.seq));
  const messages = [...log.messages, ...got.filter((m) => !held.has(m.seq))].sort((a, b) => a.seq - b.seq);
  return cut(where === "older" ? { ...log, messages, hasOlder: page.has_older } : { ...log, messages, hasNewer: page.has_newer }, where);
}

// What a live change makes of the conversation's row in the list.
export function updateConversation(c: Conversation, change: Change, me: string): Conversation {
  if (change.rev <= c.rev) return c;
  const next: Conversation = { ...c, rev: change.rev };
  if (change.type === "conversation" && change.conversation)
    return { ...next, ...change.conversation, rev: change.rev, ...keepOwn(c) };
  if (change.type === "member" && change.member?.user_id === me && next.own)
    return { ...next, own: { ...next.own, role: change.member.role, state: change.member.state } };
  const m = change.message;
  if (!m) return next;
  if (c.last_message?.seq === m.seq) return { ...next, last_message: m };
  if (change.type !== "message" || m.seq <= c.last_seq) return next;
  return { ...next, last_message: m, last_seq: m.seq, active_at_ms: m.created_at_ms, ...(c.own ? { own: countIn(c.own, m, me) } : {}) };
}

function keepOwn(c: Conversation): Partial<Conversation> {
  return {
    ...(c.own ? { own: c.own } : {}), ...(c.last_message ? { last_message: c.last_message } : {}), peer_id: c.peer_id,
  };
}

// Writing something reads what stands before it.
function countIn(own: NonNullable<Conversation["own"]>, m: Message, me: string): NonNullable<Conversation["own"]> {
  if (m.sender_id === me) return { ...own, read_seq: m.seq, unread_count: 0, mention_count: 0, is_marked_unread: false };
  if (m.seq <= own.read_seq) return own;
  const isMentioned = m.content?.is_mentioning_all || m.content?.mentions?.includes(me);
  return { ...own, unread_count: own.unread_count + 1, mention_count: own.mention_count + (isMentioned ? 1 : 0) };
}

export type Tick = "sent" | "delivered" | "read";

// How far a message of one's own has come: read or delivered means by everybody else.
export function tickOf(seq: number, members: Member[], me: string): Tick {
  const others = members.filter((m) => m.user_id !== me && m.state === "active");
  if (others.length && others.every((m) => m.read_seq >= seq)) return "read";
  return others.length && others.every((m) => Math.max(m.delivered_seq, m.read_seq) >= seq) ? "delivered" : "sent";
}
