// Searching: the question in the address, and put to what is held here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, filterCount, find, isAsking, isTimeWrong, matches, questionOf } from "../src/chat/search";
import type { ChatStore } from "../src/chat/store";
import type { Message } from "../src/chat/types";

const empty = { words: "", senderId: "", id: "", kind: "", from: "", to: "" };
const noonMs = new Date("2026-05-10T12:00:00").getTime();
const said = (fields: Partial<Message> = {}): Message => ({
  conversation_id: "c1", seq: 1, sender_id: "u1", client_msg_id: "k", content: { kind: "text", text: "The Boat leaves at noon" }, created_at_ms: noonMs, ...fields,
});

test("a question is an address and back", () => {
  const q = { words: "a & b", senderId: "u1", id: "c1", kind: "image", from: "2026-05-01", to: "2026-05-31" };
  assert.deepEqual(questionOf(new URL(addressOf(q), "http://x").searchParams), q);
  assert.equal(addressOf(empty), "/search");
  assert.deepEqual(questionOf(new URLSearchParams("kind=system&since=yesterday")), empty, "what cannot be asked is dropped");
});

test("what is worth asking", () => {
  assert.ok(!isAsking(empty) && !isAsking({ ...empty, words: "a" }) && !isAsking({ ...empty, words: "a", kind: "file" }));
  assert.ok(isAsking({ ...empty, words: "会议" }) && isAsking({ ...empty, kind: "file" }));
  assert.equal(filterCount({ ...empty, from: "2026-05-01", to: "2026-05-02", kind: "file" }), 2);
  assert.ok(isTimeWrong({ ...empty, from: "2026-05-02", to: "2026-05-01" }) && !isTimeWrong({ ...empty, from: "2026-05-02", to: "2026-05-02" }));
});

test("what is held here: all words, and every filter", () => {
  assert.ok(matches(said(), { ...empty, words: "boat NOON" }) && !matches(said(), { ...empty, words: "boat midnight" }));
  assert.ok(matches(said(), { ...empty, from: "2026-05-10", to: "2026-05-10" }), "the last day is within");
  assert.ok(!matches(said(), { ...empty, to: "2026-05-09" }) && !matches(said(), { ...empty, from: "2026-05-11" }));
  assert.ok(!matches(said(), { ...empty, senderId: "u2" }) && !matches(said(), { ...empty, id: "c2" }) && !matches(said(), { ...empty, kind: "file" }));
  assert.ok(!matches(said({ recalled_at_ms: 1 }), { ...empty, words: "boat" }));
  const file = said({ content: { kind: "file", text: "", attachments: [{ file_id: "f", name: "Plan 2026.pdf", content_type: "", size: 1 }] } });
  assert.ok(matches(file, { ...empty, words: "plan", kind: "file" }));
});

function storeWith(link: string, replies: object[], asked: object[] = []): ChatStore {
  return { link: { value: link }, heldMessages: async () => [said(), said({ seq: 2, created_at_ms: noonMs + 1 })], request: async (_: string, body: object) => (asked.push({ ...body }), replies.shift()) } as unknown as ChatStore;
}

test("empty pages are passed over, the cursor goes on", async () => {
  const asked: { cursor?: string; query?: string }[] = [];
  const store = storeWith("open", [{ next_cursor: "p2" }, { messages: [said()], next_cursor: "p3" }], asked);
  const found = await find(store, { ...empty, words: " boat " });
  assert.deepEqual([found.messages.length, found.cursor, found.isHere], [1, "p3", false]);
  assert.deepEqual(asked.map((a) => [a.query, a.cursor]), [["boat", ""], ["boat", "p2"]]);
});

test("without connection what is here is looked through, and said to be", async () => {
  const found = await find(storeWith("waiting", []), { ...empty, words: "boat" });
  assert.deepEqual([found.messages.map((m) => m.seq), found.isHere], [[2, 1], true]);
});
