// The inbox: its order, the next unread, the quick switcher's rank.
import assert from "node:assert/strict";
import { test } from "node:test";
import { beside, inboxOf, isQuiet, nextUnread } from "../src/chat/inbox";
import { isCallOver } from "../src/chat/notes";
import { rankOf } from "../src/chat/switcher";
import type { Conversation, Own } from "../src/chat/types";

const c = (id: string, own: Partial<Own> = {}): Conversation => ({
  id, kind: "group", title: id, peer_id: "", member_count: 2, last_seq: 5, rev: 5, active_at_ms: 0,
  own: { role: "member", state: "active", read_seq: 0, unread_count: 0, mention_count: 0, ...own },
});
const ids = (list: Conversation[]) => list.map((x) => x.id).join("");

test("pinned above, archived away", () => {
  assert.equal(ids(inboxOf([c("a"), c("b", { is_archived: true }), c("d", { is_pinned: true }), c("e")])), "dae");
});

test("the next unread: mentions first, quiet ones last, never the open one", () => {
  const list = [c("a", { unread_count: 1 }), c("b", { unread_count: 9, quiet_until_ms: -1 }), c("d", { unread_count: 1, mention_count: 1 }), c("e", { is_marked_unread: true }), c("f", { unread_count: 4, is_archived: true })];
  const order: string[] = [];
  const left = [...list];
  for (let next = nextUnread(left, "", 0); next; next = nextUnread(left, "", 0)) {
    order.push(next.id);
    left.splice(left.indexOf(next), 1);
  }
  assert.deepEqual(order, ["d", "a", "e", "b"]);
  assert.equal(nextUnread([c("a", { unread_count: 1 })], "a", 0), undefined);
});

test("up and down the list, and from nowhere to its ends", () => {
  const list = [c("a"), c("b"), c("d")];
  assert.deepEqual([beside(list, "a", 1)?.id, beside(list, "a", -1)?.id, beside(list, "", 1)?.id, beside(list, "", -1)?.id], ["b", undefined, "a", "d"]);
});

test("quiet until a moment, or for ever", () => {
  assert.deepEqual([0, -1, 100, 200].map((quiet_until_ms) => isQuiet(c("a", { quiet_until_ms }), 150)), [false, true, false, true]);
});

test("the switcher: beginnings before middles before scattered letters", () => {
  assert.deepEqual(["Grace Hopper", "Mary Grace", "disgrace", "g-r-a-c-e x", "Ada"].map((n) => rankOf(n, "grace")), [0, 1, 2, 3, Infinity]);
  assert.equal(rankOf("王小明", "小明"), 2);
});

test("a call is over when a later line says so", () => {
  const note = (event: string, meeting_id: string) => ({ event, meeting_id, actor_id: "", text: "" });
  assert.equal(isCallOver([note("call_ended", "m2"), note("title_changed", "m1")], "m1"), false);
  assert.equal(isCallOver([note("call_missed", "m1")], "m1"), true);
});
