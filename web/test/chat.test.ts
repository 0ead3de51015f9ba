// The chat's pure logic: the log under changes, the outbox, the lines of a thread, markup.
import assert from "node:assert/strict";
import { test } from "node:test";
import { applyAll, applyChange, emptyLog, mergeHistory, tickOf, updateConversation, type Log } from "../src/chat/log";
import { parseMarkup, plainText } from "../src/chat/markup";
import * as outbox from "../src/chat/outbox";
import { rowsOf } from "../src/chat/rows";
import type { Change, ChangeType, Conversation, Member, Message } from "../src/chat/types";

const me = "u1";
const message = (seq: number, fields: Partial<Message> = {}): Message => ({
  conversation_id: "c", seq, sender_id: "u2", client_msg_id: `k${seq}`, content: { kind: "text", text: `t${seq}` }, created_at_ms: seq * 1000, ...fields,
});
const change = (rev: number, type: ChangeType, m: Message, fields: Partial<Change> = {}): Change => ({
  conversation_id: "c", rev, prev_rev: rev - 1, type, message: m, actor_id: m.sender_id, ...fields,
});
const logOf = (rev: number, ...seqs: number[]): Log => ({ ...emptyLog(rev), messages: seqs.map((s) => message(s)) });
const seqs = (log: Log) => log.messages.map((m) => m.seq);

test("a change is taken once, and a hole is seen", () => {
  const first = applyChange(logOf(2, 1, 2), change(3, "message", message(3)), me);
  assert.equal(first.verdict, "applied");
  assert.deepEqual([seqs(first.log), first.log.rev], [[1, 2, 3], 3]);
  assert.deepEqual(applyChange(first.log, change(3, "message", message(3)), me), { log: first.log, verdict: "known" });
  const hole = applyChange(first.log, change(6, "message", message(5)), me);
  assert.deepEqual([hole.verdict, hole.log], ["hole", first.log]);
  // Revisions that are not ours to see make no hole.
  assert.equal(applyChange(first.log, change(6, "message", message(4), { prev_rev: 3 }), me).verdict, "applied");
});

test("what get_changes brings is taken in order, doubles dropped", () => {
  const log = applyAll(logOf(2, 1, 2), [change(2, "message", message(2)), change(3, "message", message(3)), change(4, "edited", message(1, { edited_at_ms: 9 }))], me);
  assert.deepEqual([seqs(log), log.rev, log.messages[0]?.edited_at_ms], [[1, 2, 3], 4, 9]);
});

test("away from the end nothing is appended, and what is not held is not shown", () => {
  const away = { ...logOf(9, 1, 2), hasNewer: true };
  assert.deepEqual(seqs(applyChange(away, change(10, "message", message(8)), me).log), [1, 2]);
  assert.deepEqual(seqs(applyChange(logOf(9, 5, 6), change(10, "edited", message(2)), me).log), [5, 6]);
});

test("a thread counts its answers", () => {
  const log = applyChange(logOf(2, 1, 2), change(3, "message", message(3, { thread_seq: 1 })), me).log;
  assert.deepEqual(log.messages.map((m) => m.thread_count), [1, undefined, undefined]);
  const away = applyChange({ ...logOf(9, 1, 2), hasNewer: true }, change(10, "message", message(8, { thread_seq: 2 })), me).log;
  assert.deepEqual(away.messages.map((m) => m.thread_count), [undefined, 1]);
});

test("pages join without doubles", () => {
  const older = mergeHistory(logOf(9, 5, 6), { messages: [message(3), message(4), message(5)], has_older: true, has_newer: true }, "older");
  assert.deepEqual([seqs(older), older.hasOlder, older.hasNewer], [[3, 4, 5, 6], true, false]);
});

test("which reactions are mine survives events made for all", () => {
  const r = (count: number, is_mine = false) => [{ emoji: "👍", count, is_mine, user_ids: ["u3"] }];
  let log = logOf(1, 1);
  const react = (rev: number, actor_id: string, count: number, is_removed = false) =>
    (log = applyChange(log, change(rev, "reaction", message(1, { reactions: r(count) }), { actor_id, emoji: "👍", is_removed }), me).log);
  assert.equal(react(2, me, 1).messages[0]?.reactions?.[0]?.is_mine, true);
  assert.equal(react(3, "u3", 2).messages[0]?.reactions?.[0]?.is_mine, true);
  assert.equal(react(4, me, 1, true).messages[0]?.reactions?.[0]?.is_mine, false);
});

const conversation: Conversation = {
  id: "c", kind: "group", title: "T", peer_id: "", member_count: 3, last_seq: 2, rev: 2, active_at_ms: 0,
  own: { role: "member", state: "active", read_seq: 1, unread_count: 1, mention_count: 0 },
};

test("the list counts what others say, once, and writing reads", () => {
  const one = updateConversation(conversation, change(3, "message", message(3, { content: { kind: "text", text: "", mentions: [me] } })), me);
  assert.deepEqual([one.own?.unread_count, one.own?.mention_count, one.last_seq], [2, 1, 3]);
  assert.equal(updateConversation(one, change(3, "message", message(3)), me), one);
  const said = updateConversation(one, change(4, "message", message(4, { sender_id: me })), me);
  assert.deepEqual([said.own?.unread_count, said.own?.read_seq], [0, 4]);
  const titled = updateConversation(said, { ...change(5, "conversation", message(0)), conversation: { ...conversation, title: "New" } }, me);
  assert.deepEqual([titled.title, titled.own, titled.last_message?.seq, titled.rev], ["New", said.own, 4, 5]);
});

const item = (clientMsgId: string, fields: Partial<outbox.Outgoing> = {}): outbox.Outgoing => ({
  clientMsgId, to: "c", content: { kind: "text", text: "x" }, atMs: 0, state: "pending", error: "", seq: 0, ...fields,
});

test("the outbox: in order, failing honestly, gone when the log has it", () => {
  let box = [item("a"), item("b")];
  assert.equal(outbox.nextToSend(box)?.clientMsgId, "a");
  box = outbox.failed(box, "a", "no");
  assert.equal(outbox.nextToSend(box)?.clientMsgId, "b");
  box = outbox.acknowledged(box, "b", "c", 7);
  assert.equal(outbox.nextToSend(box), undefined);
  assert.deepEqual(outbox.notIn(box, "c", [message(7, { sender_id: me, client_msg_id: "b" })], me).map((o) => o.clientMsgId), ["a"]);
  assert.equal(outbox.notIn(box, "c", [message(7, { sender_id: "u2", client_msg_id: "b" })], me).length, 2, "another's id is not ours");
  assert.equal(outbox.nextToSend(outbox.again(box, "a"))?.clientMsgId, "a");
  assert.ok(outbox.isLasting("permission_denied") && !outbox.isLasting("unavailable") && !outbox.isLasting("offline"));
});

test("the outbox: what waits for a new conversation learns its id", () => {
  const box = outbox.acknowledged([item("a", { to: "u:u2" }), item("b", { to: "u:u2" }), item("c", { to: "u:u3" })], "a", "c9", 1);
  assert.deepEqual(box.map((o) => [o.to, o.state]), [["c9", "sent"], ["c9", "pending"], ["u:u3", "pending"]]);
});

test("the outbox: what is asked of the server", () => {
  const attachments = [{ file_id: "f1", name: "a.png", content_type: "image/png", size: 3 }];
  assert.deepEqual(outbox.requestOf({ to: "u:u2", content: { kind: "image", text: "", attachments }, threadSeq: 4 }), {
    to_user_id: "u2", content: { kind: "image", text: "", attachments: [{ file_id: "f1" }] }, thread_seq: 4,
  });
  assert.deepEqual(outbox.requestOf({ to: "c", content: { kind: "text", text: "" }, forward: { id: "c2", seq: 7 }, replyToSeq: 3 }), {
    conversation_id: "c", forward_conversation_id: "c2", forward_seq: 7, reply_to_seq: 3,
  });
});

test("rows: days, groups, the unread line", () => {
  const day = 86_400_000;
  const list = [message(1), message(2), message(3, { created_at_ms: day }), message(4, { created_at_ms: day + 1 }), message(5, { created_at_ms: day + 2, sender_id: me })];
  const rows = rowsOf(list, 3, me, (ms) => String(Math.floor(ms / day)));
  assert.deepEqual(
    rows.map((r) => (r.type === "message" ? `${r.message.seq}${r.isFirst ? "!" : ""}` : r.type)),
    ["day", "1!", "2", "day", "3!", "unread", "4!", "5!"],
  );
  assert.ok(!rowsOf(list, -1, me, () => "").some((r) => r.type === "unread"));
});

test("ticks mean everybody", () => {
  const m = (user_id: string, read_seq: number, delivered_seq: number): Member => ({ conversation_id: "c", user_id, role: "member", state: "active", read_seq, delivered_seq });
  assert.equal(tickOf(5, [m(me, 5, 5)], me), "sent");
  assert.equal(tickOf(5, [m(me, 5, 5), m("a", 5, 5), m("b", 2, 5)], me), "delivered");
  assert.equal(tickOf(5, [m(me, 0, 0), m("a", 5, 0), m("b", 6, 0)], me), "read");
});

test("markup makes a tree and no HTML", () => {
  assert.deepEqual(parseMarkup("a **b** `d*e*` ~~f~~ *g*").map((s) => s.type), ["text", "strong", "text", "code", "text", "del", "text", "em"]);
  assert.deepEqual(parseMarkup("see https://example.org/a_b?c=1. <b>x</b>"), [
    { type: "text", text: "see " }, { type: "link", href: "https://example.org/a_b?c=1" }, { type: "text", text: ". <b>x</b>" },
  ]);
  assert.deepEqual(parseMarkup("javascript:alert(1) 2*3*4 a*b"), [{ type: "text", text: "javascript:alert(1) 2*3*4 a*b" }]);
  assert.deepEqual(parseMarkup("```js\nx();\n```"), [{ type: "block", text: "x();" }]);
});

test("in lists a message stands without its marks", () => {
  assert.equal(plainText("a **b** ~~d~~ `e*f*` https://example.org/x_y 2*3*4"), "a b d e*f* https://example.org/x_y 2*3*4");
  assert.equal(plainText("**Loud** and *clear*"), "Loud and clear");
  assert.equal(plainText("```js\nx();\n```"), "x();");
});

