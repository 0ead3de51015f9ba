// Notifications: what is worth telling, and the count in the tab.
import assert from "node:assert/strict";
import { test } from "node:test";
import { titleText } from "../src/app/title";
import { isWorthTelling } from "../src/chat/notify";
import { shownInFront } from "../src/chat/tabs";
import type { Conversation, Message, Own } from "../src/chat/types";

const nowMs = 1_000_000;
const at = { me: "u1", isDisturbable: true, nowMs };
const c = (own: Partial<Own> = {}): Conversation => ({
  id: "c", kind: "group", title: "T", peer_id: "", member_count: 2, last_seq: 5, rev: 5, active_at_ms: 0,
  own: { role: "member", state: "active", read_seq: 4, unread_count: 1, mention_count: 0, ...own },
});
const m = (fields: Partial<Message> = {}): Message => ({ conversation_id: "c", seq: 5, sender_id: "u2", client_msg_id: "k", content: { kind: "text", text: "x" }, created_at_ms: nowMs - 1000, ...fields });
const note = (event: string, actor_id = "u2") => m({ sender_id: "", content: { kind: "system", text: "", note: { event, actor_id, text: "" } } });

test("what others say is told", () => {
  assert.equal(isWorthTelling(m(), c(), at), true);
  assert.equal(isWorthTelling(m({ sender_id: "u1" }), c(), at), false, "one's own");
  assert.equal(isWorthTelling(m({ seq: 4 }), c(), at), false, "read on another device");
  assert.equal(isWorthTelling(m({ created_at_ms: 1 }), c(), at), true, "however the clocks stand");
  assert.equal(isWorthTelling(m(), undefined, at), false);
});

test("quiet conversations and do not disturb are silent", () => {
  assert.equal(isWorthTelling(m(), c({ quiet_until_ms: -1 }), at), false);
  assert.equal(isWorthTelling(m(), c({ quiet_until_ms: nowMs + 1 }), at), false);
  assert.equal(isWorthTelling(m(), c({ quiet_until_ms: nowMs - 1 }), at), true);
  assert.equal(isWorthTelling(m(), c(), { ...at, isDisturbable: false }), false);
  assert.equal(isWorthTelling(m(), c({ state: "gone" }), at), false);
});

test("of the server's lines only others' calls", () => {
  assert.deepEqual(["call_started", "call_missed", "member_joined"].map((e) => isWorthTelling(note(e), c(), at)), [true, true, false]);
  assert.equal(isWorthTelling(note("call_started", "u1"), c(), at), false);
});

test("what a tab in front shows", () => {
  const said = JSON.stringify({ atMs: nowMs - 2_000, id: "c" });
  assert.deepEqual([shownInFront(said, nowMs), shownInFront(said, nowMs + 60_000), shownInFront(null, nowMs), shownInFront("12x", nowMs)], ["c", null, null, null]);
  assert.equal(shownInFront(JSON.stringify({ atMs: nowMs, id: "" }), nowMs), "");
});

test("the tab counts what is unread", () => {
  assert.deepEqual([titleText("Messages", 0), titleText("Messages", 3), titleText("", 120)], ["Messages · Parlance", "(3) Messages · Parlance", "(99+) Parlance"]);
});
