// Presence: the newer of two wins, and the watch list keeps to its size.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chosen, newer, type Presence } from "../src/chat/presence";

const of = (user_id: string, version: number | string, status: Presence["status"] = "online"): Presence => ({ user_id, version, status });

test("of two about one person the higher version is the newer", () => {
  const first = newer(new Map(), [of("a", 5), of("b", "7")]);
  const next = newer(first, [of("a", 4, "away"), of("b", 8, "busy")]);
  assert.deepEqual([...next.values()].map((p) => p.status), ["online", "busy"]);
  assert.equal(first.get("b")?.status, "online", "what was known is not changed in place");
});

test("who was asked for last is watched", () => {
  const asked = new Map([["a", 1], ["b", 3], ["c", 2]]);
  assert.deepEqual(chosen(asked, 2), ["b", "c"]);
  assert.deepEqual(chosen(asked, 9), ["b", "c", "a"]);
});
