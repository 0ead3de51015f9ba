// A tab's half of the shared socket: what it does when the worker is gone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCode } from "../src/app/errors";
import type { ToHub, ToTab } from "../src/chat/hub";
import { openWire } from "../src/chat/shared-link";

const asked: ToHub[] = [];
let sockets = 0;
const port = { onmessage: null as ((e: { data: ToTab }) => void) | null, postMessage: (m: ToHub) => void asked.push(m), close: () => undefined };
const nothing = { addEventListener: () => undefined, removeEventListener: () => undefined };
Object.assign(globalThis, nothing, {
  document: { ...nothing, visibilityState: "visible" },
  SharedWorker: class {
    port = port;
    onerror = null;
  },
  WebSocket: class {
    static OPEN = 1;
    readyState = 0;
    constructor() {
      sockets++;
    }
    close() {}
  },
});

// A clock that goes when it is told to.
let nowMs = 1_000;
let timers: { atMs: number; run: () => void }[] = [];
function tick(ms: number): void {
  nowMs += ms;
  const due = timers.filter((t) => t.atMs <= nowMs);
  timers = timers.filter((t) => t.atMs > nowMs);
  for (const t of due) t.run();
}
const clock = {
  setTimeout: (run: () => void, ms: number) => timers[timers.push({ atMs: nowMs + ms, run }) - 1],
  clearTimeout: (timer: unknown) => void (timers = timers.filter((t) => t !== timer)),
  setInterval: () => 0, clearInterval: () => undefined,
};

const options = { token: () => Promise.resolve("t"), onState: () => undefined, onReady: () => undefined, onEvent: () => undefined };

test("a worker that was killed is done without", async () => {
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const { now } = Date;
  Object.assign(globalThis, clock);
  Date.now = () => nowMs;
  const wire = openWire("u1", options);
  port.onmessage?.({ data: { type: "state", state: "open" } });
  tick(1_000);
  const one = wire.request("sync").catch(errorCode);
  tick(15_000);
  const id = asked.flatMap((m) => (m.type === "ask" ? m.id : []))[0] ?? 0;
  port.onmessage?.({ data: { type: "answer", id, body: null, error: { code: "deadline_exceeded", message: "", requestId: "" } } });
  assert.equal(await one, "deadline_exceeded");
  assert.equal(sockets, 0, "the server is slow, the worker lives");
  tick(1_000);
  const two = wire.request("sync").catch(errorCode);
  tick(20_000);
  assert.equal(await two, "deadline_exceeded");
  await Promise.resolve();
  assert.equal(sockets, 1, "a socket of its own");
  wire.close();
  Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
  Date.now = now;
});
