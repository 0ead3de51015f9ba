// Long lists: where rows lie, what a place is found by.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heights } from "../src/chat/heights";
import { applyChange, emptyLog, heldMost, mergeHistory } from "../src/chat/log";
import { placed, rowsOf } from "../src/chat/rows";
import { seqAtTime } from "../src/chat/seek";
import type { Message } from "../src/chat/types";

const sized = (n: number) => Array.from({ length: n }, (_, i) => ({ key: `k${i}`, guessPx: 10 }));
const message = (seq: number): Message => ({
  conversation_id: "c", seq, sender_id: "u2", client_msg_id: `k${seq}`, content: { kind: "text", text: "x" }, created_at_ms: seq * 1000,
});
const messages = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));

test("heights: guesses give way to what was measured", () => {
  const h = new Heights();
  h.setRows(sized(100));
  assert.deepEqual([h.total, h.top(50), h.at(505), h.at(-3), h.at(9999)], [1000, 500, 50, 0, 99]);
  assert.equal(h.learn("k10", 40), true);
  assert.equal(h.learn("k10", 40), false);
  assert.deepEqual([h.total, h.top(10), h.top(11), h.at(139), h.at(140)], [1030, 100, 140, 10, 11]);
  assert.deepEqual(h.range(100, 145), { from: 10, to: 12 });
  // Rows that come in above keep what is known of the others.
  h.setRows([{ key: "new", guessPx: 7 }, ...sized(100)]);
  assert.deepEqual([h.top(h.indexOf("k11")), h.indexOf("nobody")], [147, -1]);
  h.forget();
  assert.equal(h.total, 1007);
});

test("heights: no rows, and rows of no height", () => {
  const h = new Heights();
  h.setRows([]);
  assert.deepEqual([h.total, h.range(0, 100)], [0, { from: 0, to: 0 }]);
  h.setRows(sized(3));
  for (const key of ["k0", "k1", "k2"]) h.learn(key, 0);
  assert.deepEqual(h.range(0, 100), { from: 2, to: 3 });
});

test("a long conversation is held in part: what one moves away from is let go", () => {
  let log = { ...emptyLog(1), messages: messages(1001, 1600) };
  log = mergeHistory(log, { messages: messages(941, 1000), has_older: true, has_newer: true }, "older");
  assert.deepEqual([log.messages.length, log.messages[0]?.seq, log.hasNewer, log.hasOlder], [heldMost, 941, true, true]);
  log = mergeHistory(log, { messages: messages(1541, 1600), has_older: true, has_newer: false }, "newer");
  assert.deepEqual([log.messages.length, log.messages[0]?.seq, log.hasNewer, log.hasOlder], [heldMost, 1001, false, true]);
});

test("a talk that goes on for long is let go at its beginning", () => {
  let log = { ...emptyLog(1), hasOlder: false, messages: messages(1, 2 * heldMost) };
  const next = message(2 * heldMost + 1);
  log = applyChange(log, { conversation_id: "c", rev: 2, prev_rev: 1, type: "message", message: next, actor_id: "u2" }, "u1").log;
  assert.deepEqual([log.messages.length, log.messages.at(-1)?.seq, log.hasOlder], [heldMost, next.seq, true]);
});

test("days and lines hold no place, messages do", () => {
  const rows = placed(rowsOf(messages(1, 3), 1, "u1", () => "day"));
  assert.deepEqual(rows.map((r) => [r.type, r.isHold]), [["day", false], ["message", true], ["unread", false], ["message", true], ["message", true]]);
  assert.ok(rows.every((r) => r.guessPx > 20));
});

test("a moment is found among 100,000 messages with few questions", async () => {
  let asked = 0;
  const timeOf = (seq: number) => (asked++, Promise.resolve(seq * 1000));
  assert.equal(await seqAtTime(54_321_000, 100_000, timeOf), 54_321);
  assert.ok(asked <= 40, `${asked} questions`);
  assert.equal(await seqAtTime(54_321_001, 100_000, timeOf), 54_322);
  assert.equal(await seqAtTime(0, 100_000, timeOf), 1);
  assert.equal(await seqAtTime(Infinity, 100_000, timeOf), 100_000);
  assert.equal(await seqAtTime(5, 1, timeOf), 1);
});
