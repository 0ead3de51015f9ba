// The outbox at work against a server that is busy, refuses, or answers too late.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError } from "../src/app/api-error";
import { Wish } from "../src/chat/ids";
import { Sender } from "../src/chat/sender";
import type { Outgoing } from "../src/chat/outbox";

const storage = new Map<string, string>();
const held = new Set<string>();
const waiting = new Map<string, (() => void)[]>();

// Locks as browsers have them, as far as a sender asks.
const locks = {
  query: () => Promise.resolve({ held: [...held].map((name) => ({ name })) }),
  request: (name: string, run: () => unknown) => {
    if (held.has(name)) return new Promise<void>((resolve) => waiting.set(name, [...(waiting.get(name) ?? []), () => (run(), resolve())]));
    held.add(name);
    return Promise.resolve(run()).finally(() => held.delete(name));
  },
};

Object.assign(globalThis, {
  addEventListener: () => undefined, removeEventListener: () => undefined,
  localStorage: {
    getItem: (k: string) => storage.get(k) ?? null, setItem: (k: string, v: string) => storage.set(k, v), removeItem: (k: string) => storage.delete(k),
    key: (i: number) => [...storage.keys()][i] ?? null,
    get length() {
      return storage.size;
    },
  },
});
Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });

beforeEach(() => (storage.clear(), held.clear(), waiting.clear()));
const rest = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (text: string) => ({ content: { kind: "text" as const, text } });

type Answer = (body: Record<string, unknown>) => unknown;

function make(answer: Answer, planned: Outgoing[] = [], me = "u1") {
  const asked: Record<string, unknown>[] = [];
  const sender = new Sender(me, {
    isOpen: () => true,
    logOf: () => undefined,
    onMoved: () => undefined,
    onPlanned: (o) => planned.push(o),
    request: async <T>(_: string, body: object) => {
      asked.push(body as Record<string, unknown>);
      return answer(body as Record<string, unknown>) as T;
    },
  });
  return { sender, asked };
}

const busy = () => {
  throw new ApiError("unavailable", "busy", "", 503);
};

test("a busy server is asked again for as long as it takes, by the same id", async () => {
  let isBusy = true;
  const { sender, asked } = make(() => (isBusy ? busy() : { conversation_id: "c", seq: 1 }));
  sender.send("c", say("hello"));
  for (let i = 0; i < 20; i++) {
    await rest();
    await sender.resume(); // a new connection each
  }
  assert.ok(asked.length > 10, `${asked.length} tries`);
  assert.equal(sender.box.value[0]?.state, "pending", "it never gives up");
  assert.ok(sender.box.value[0]?.error, "and says why it waits");
  assert.equal(storage.size, 1);
  isBusy = false;
  await sender.resume();
  assert.deepEqual([sender.box.value.length, storage.size], [0, 0]);
  assert.equal(new Set(asked.map((a) => a["client_msg_id"])).size, 1);
  sender.close();
});

test("it waits before it tries again, and other conversations need not", async () => {
  const { sender, asked } = make((b) => (b["conversation_id"] === "slow" ? busy() : { conversation_id: "c", seq: 1 }));
  sender.send("slow", say("1"));
  sender.send("slow", say("2"));
  sender.send("c", say("3"));
  await rest(30);
  assert.deepEqual(asked.map((a) => a["conversation_id"]), ["slow", "c"]);
  assert.deepEqual(sender.box.value.map((o) => o.to), ["slow", "slow"]);
  sender.close();
});

test("a refusal that will not pass fails at once, and the next goes on", async () => {
  let tries = 0;
  const { sender } = make(() => {
    if (!tries++) throw new ApiError("permission_denied", "no", "", 403);
    return { conversation_id: "c", seq: 1 };
  });
  sender.send("c", say("1"));
  sender.send("c", say("2"));
  await rest(20);
  assert.deepEqual(sender.box.value.map((o) => o.state), ["failed"]);
  sender.close();
});

test("what is planned is told as planned; what was planned for a moment that passed goes at once when asked to", async () => {
  const planned: Outgoing[] = [];
  const { sender, asked } = make((b) => {
    if (!b["send_at_ms"]) return { conversation_id: "c", seq: 4 };
    if (Number(b["send_at_ms"]) < Date.now()) throw new ApiError("invalid_argument", "send_at_ms", "", 400);
    return { conversation_id: "c", seq: 0, scheduled_id: "s" };
  }, planned);
  sender.send("c", { ...say("later"), sendAtMs: Date.now() + 3_600_000 });
  await rest(20);
  assert.deepEqual([planned.length, sender.box.value.length, storage.size], [1, 0, 0]);
  sender.send("c", { ...say("too late"), sendAtMs: Date.now() - 1 });
  await rest(20);
  const [item] = sender.box.value;
  assert.equal(item?.state, "failed");
  sender.sendAgain(item?.clientMsgId ?? "");
  await rest(20);
  assert.equal(sender.box.value.length, 0);
  const [, refused, sent] = asked;
  assert.ok(refused?.["client_msg_id"] === sent?.["client_msg_id"] && !sent?.["send_at_ms"]);
  sender.close();
});

test("what a tab leaves behind is sent by another as soon as it is gone", async () => {
  const item = { clientMsgId: "k1", to: "c", atMs: Date.now(), state: "pending", error: "", seq: 0, owner: "other", ...say("x") };
  storage.set("parlance.unsent.u1.k1", JSON.stringify(item));
  held.add("parlance.tab.other");
  const { sender, asked } = make(() => ({ conversation_id: "c", seq: 1 }));
  await sender.pump();
  assert.equal(asked.length, 0, "its tab lives");
  held.delete("parlance.tab.other");
  waiting.get("parlance.tab.other")?.forEach((run) => run()); // it crashed: the browser gives the lock to who waits
  await rest(20);
  assert.equal(asked.length, 1);
  sender.close();
});

test("a tab that lives and does not get it out is not waited for for ever", async () => {
  const item = { clientMsgId: "k1", to: "c", atMs: Date.now() - 600_000, state: "pending", error: "", seq: 0, owner: "other", ...say("x") };
  storage.set("parlance.unsent.u1.k1", JSON.stringify(item));
  held.add("parlance.tab.other");
  const { sender, asked } = make(() => ({ conversation_id: "c", seq: 1 }));
  await sender.pump();
  assert.deepEqual(asked.map((a) => a["client_msg_id"]), ["k1"]);
  sender.close();
});

test("nothing of a guest is kept, nor found", async () => {
  storage.set("parlance.unsent..k1", JSON.stringify({ clientMsgId: "k1", to: "c", atMs: 1, state: "pending", error: "", seq: 0, ...say("x") }));
  const { sender, asked } = make(busy, [], "");
  assert.deepEqual(sender.box.value, []);
  sender.send("c", say("hello"));
  await rest();
  assert.deepEqual([asked.length, sender.box.value.length, storage.size], [1, 1, 1], "it waits on the page alone");
  sender.close();
});

test("after the end nothing more is sent, and nothing is written back", async () => {
  let answer: () => void = () => undefined;
  const { sender, asked } = make(() => new Promise((_, reject) => (answer = () => reject(new ApiError("unavailable", "busy", "", 503)))));
  sender.send("c", say("1"));
  sender.send("d", say("2"));
  await rest();
  sender.close();
  storage.clear(); // as a sign-out does
  answer();
  await rest();
  assert.deepEqual([asked.length, storage.size], [1, 0]);
});

test("one wish, one id", () => {
  const wish = new Wish();
  const first = wish.id("Team", "group", ["a"]);
  assert.equal(wish.id("Team", "group", ["a"]), first);
  const other = wish.id("Team", "group", ["b"]);
  assert.notEqual(other, first);
  assert.notEqual(new Wish().id("Team", "group", ["b"]), other);
});
