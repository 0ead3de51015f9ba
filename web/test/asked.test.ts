// Questions and pauses, as both sockets have them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Asked } from "../src/app/asked";
import { ApiError } from "../src/app/api-error";
import { pauseMs } from "../src/app/pause";

const backoff = { firstMs: 400, mostMs: 8_000 };

test("waits longer each time, never in step with others, never longer than eight seconds", () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const [least, most] = [pauseMs(attempt, backoff, 0), pauseMs(attempt, backoff, 1)];
    assert.ok(least >= 200 && most <= 8_000 && most === least * 2, `${attempt}: ${least} to ${most}`);
    assert.ok(least >= pauseMs(Math.max(0, attempt - 1), backoff, 0));
  }
});

const codeOf = (asking: Promise<unknown>) => asking.then(() => "", (error: ApiError) => error.code);

test("an answer goes to whom it belongs, once", async () => {
  const asked = new Asked(1_000);
  const ids: number[] = [];
  const [a, b] = ["a", "b"].map((name) => asked.ask(name, (id) => ids.push(id)));
  assert.equal(asked.take(ids[1])?.name, "b");
  assert.equal(asked.take(ids[1]), undefined);
  assert.equal(asked.take(undefined), undefined);
  asked.take(ids[0])?.resolve("for a");
  assert.equal(await a, "for a");
  void b;
});

test("what is not answered fails, and says why", async () => {
  const asked = new Asked(20);
  const late = asked.ask("slow", () => undefined);
  assert.equal(await codeOf(late), "deadline_exceeded");
  const cut = codeOf(asked.ask("cut", () => undefined));
  asked.rejectAll("offline", "gone");
  assert.equal(await cut, "offline");
});
