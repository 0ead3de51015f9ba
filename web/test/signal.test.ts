// When and whether the socket comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { afterClose, backoffMs } from "../src/meeting/signal";

test("waits longer each time, never in step with others, never longer than eight seconds", () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const [least, most] = [backoffMs(attempt, 0), backoffMs(attempt, 1)];
    assert.ok(least >= 200 && most <= 8_000 && most === least * 2, `${attempt}: ${least} to ${most}`);
    assert.ok(least >= backoffMs(Math.max(0, attempt - 1), 0));
  }
});

test("what a close code asks for", () => {
  assert.equal(afterClose(1006), "retry");
  assert.equal(afterClose(1001), "retry");
  assert.equal(afterClose(1013), "retry");
  assert.equal(afterClose(4401), "renew");
  assert.equal(afterClose(4403), "removed");
  assert.equal(afterClose(4409), "elsewhere");
  assert.equal(afterClose(1008), "count");
});
