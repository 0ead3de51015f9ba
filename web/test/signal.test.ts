// When and whether the socket comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { afterClose } from "../src/meeting/signal";

test("what a close code asks for", () => {
  assert.equal(afterClose(1006), "retry");
  assert.equal(afterClose(1001), "retry");
  assert.equal(afterClose(1013), "retry");
  assert.equal(afterClose(4401), "renew");
  assert.equal(afterClose(4403), "removed");
  assert.equal(afterClose(4409), "elsewhere");
  assert.equal(afterClose(1008), "count");
});
