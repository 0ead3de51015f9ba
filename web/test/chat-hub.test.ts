// The shared socket's hub: whom it answers, whom it asks for a token, when it lets go.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub, type Port, type ToTab } from "../src/chat/hub";

// A socket that takes every sign-in and answers every request with its own name.
class FakeSocket {
  static readonly OPEN = 1;
  static made: FakeSocket[] = [];
  readyState = 1;
  sent: Record<string, unknown>[] = [];
  onopen: () => void = () => undefined;
  onmessage: (e: { data: string }) => void = () => undefined;
  onclose: (e: { code: number }) => void = () => undefined;

  constructor() {
    FakeSocket.made.push(this);
    queueMicrotask(() => this.onopen());
  }

  send(text: string): void {
    const frame = JSON.parse(text) as Record<string, unknown> & { id: number };
    this.sent.push(frame);
    const name = Object.keys(frame).find((k) => k !== "id") ?? "";
    queueMicrotask(() => {
      this.onmessage({ data: JSON.stringify({ id: frame.id, [name]: { of: name } }) });
      if (name === "authenticate") this.onmessage({ data: JSON.stringify({ ready: {} }) });
    });
  }

  close(): void {
    this.readyState = 3;
  }

  names(): string[] {
    return this.sent.flatMap((f) => Object.keys(f)).filter((k) => k !== "id");
  }
}

class Tab implements Port {
  heard: ToTab[] = [];
  isMute = false;
  constructor(private readonly hub: Hub, readonly token: string) {}

  postMessage(m: ToTab): void {
    this.heard.push(m);
    if (m.type === "token" && !this.isMute) queueMicrotask(() => this.hub.onMessage(this, { type: "token", id: m.id, token: this.token, isFailed: false }));
  }

  ask(id: number, name: string, body: object = {}): void {
    this.hub.onMessage(this, { type: "ask", id, name, body });
  }

  answer(id: number): ToTab | undefined {
    return this.heard.find((m) => m.type === "answer" && m.id === id);
  }
}

Object.assign(globalThis, { WebSocket: FakeSocket });
const rest = () => new Promise((resolve) => setTimeout(resolve, 5));

async function twoTabs() {
  FakeSocket.made = [];
  const hub = new Hub();
  const [a, b] = [new Tab(hub, "ta"), new Tab(hub, "tb")];
  hub.onMessage(a, { type: "hello" });
  await rest();
  hub.onMessage(b, { type: "hello" });
  await rest();
  const socket = FakeSocket.made[0];
  assert.ok(socket);
  return { hub, a, b, socket };
}

test("one socket, both ready, each gets its own answers", async () => {
  const { hub, a, b, socket } = await twoTabs();
  assert.equal(FakeSocket.made.length, 1);
  for (const tab of [a, b]) assert.equal(tab.heard.filter((m) => m.type === "ready").length, 1);
  a.ask(1, "sync");
  b.ask(1, "search");
  await rest();
  assert.deepEqual([a.answer(1), b.answer(1)].map((m) => m?.type === "answer" && m.body), [{ of: "sync" }, { of: "search" }]);
  socket.onmessage({ data: JSON.stringify({ is_typing: { user_id: "u" } }) });
  for (const tab of [a, b]) assert.deepEqual(tab.heard.at(-1), { type: "event", name: "is_typing", body: { user_id: "u" } });
  hub.onMessage(a, { type: "bye" });
  hub.onMessage(b, { type: "bye" });
  assert.equal(socket.readyState, 3);
});

test("a conversation is closed when the last tab looks away", async () => {
  const { hub, a, b, socket } = await twoTabs();
  a.ask(1, "open", { id: "c" });
  b.ask(1, "open", { id: "c" });
  a.ask(2, "open", { id: "c", is_closed: true });
  await rest();
  assert.equal(socket.names().filter((n) => n === "open").length, 2);
  assert.ok(a.answer(2));
  hub.onMessage(b, { type: "bye" });
  await rest();
  assert.deepEqual(socket.sent.at(-1)?.["open"], { id: "c", is_closed: true });
  hub.onMessage(a, { type: "bye" });
});

test("tabs watch together: nobody goes whom another shows, and what a tab watched goes with it", async () => {
  const { hub, a, b, socket } = await twoTabs();
  const last = () => socket.sent.at(-1)?.["watch"];
  a.ask(1, "watch", { is_change: true, user_ids: ["u1", "u2"], removed_ids: [] });
  b.ask(1, "watch", { is_change: true, user_ids: ["u2", "u3"], removed_ids: [] });
  a.ask(2, "watch", { is_change: true, user_ids: ["u4"], removed_ids: ["u1", "u2"] });
  assert.deepEqual(last(), { is_change: true, user_ids: ["u4"], removed_ids: ["u1"] });
  a.ask(3, "watch", { user_ids: ["u3", "u5"] });
  assert.deepEqual(last(), { is_change: true, user_ids: ["u3", "u5"], removed_ids: ["u4"] }, "a list of one tab is not that of all");
  await rest();
  hub.onMessage(b, { type: "bye" });
  assert.deepEqual(last(), { is_change: true, user_ids: [], removed_ids: ["u2"] });
  hub.onMessage(a, { type: "bye" });
});

test("tabs watch no more together than the server lets one socket", async () => {
  const { hub, a, b, socket } = await twoTabs();
  const ids = (of: string, n: number) => Array.from({ length: n }, (_, i) => `${of}${i}`);
  a.ask(1, "watch", { is_change: true, user_ids: ids("a", 150) });
  b.ask(1, "watch", { is_change: true, user_ids: ids("b", 150) });
  const watch = socket.sent.at(-1)?.["watch"] as { user_ids: string[]; removed_ids: string[] };
  assert.deepEqual([watch.user_ids.length, watch.removed_ids.length], [150, 100]);
  assert.ok(watch.removed_ids.every((id) => id.startsWith("a")));
  await rest();
  hub.onMessage(a, { type: "bye" });
  hub.onMessage(b, { type: "bye" });
});

test("the socket breaks: the tabs hear of it, and what was asked fails", async () => {
  const { hub, a, b, socket } = await twoTabs();
  socket.send = () => undefined;
  a.ask(7, "sync");
  socket.onclose({ code: 1006 });
  await rest();
  const failed = a.answer(7);
  assert.equal(failed?.type === "answer" && failed.error?.code, "offline");
  assert.deepEqual(b.heard.at(-1), { type: "state", state: "waiting" });
  // Pressed: at once again, with a token of the tab heard of last.
  a.ask(8, "sync");
  hub.onMessage(b, { type: "retry" });
  await rest();
  assert.equal(FakeSocket.made.length, 2);
  assert.deepEqual(FakeSocket.made[1]?.sent[0]?.["authenticate"], { token: "tb" });
  hub.onMessage(a, { type: "bye" });
  hub.onMessage(b, { type: "bye" });
});

test("a token that is refused is not offered again: a new one is asked for", async () => {
  FakeSocket.made = [];
  const hub = new Hub();
  const tab = new Tab(hub, "stale");
  hub.onMessage(tab, { type: "hello" });
  const [socket] = FakeSocket.made;
  assert.ok(socket);
  // As the gateway does: the answer first, then the end.
  socket.send = (text) => {
    const { id } = JSON.parse(text) as { id: number };
    queueMicrotask(() => socket.onmessage({ data: JSON.stringify({ id, error: { code: "unauthenticated", message: "", request_id: "" } }) }));
    setTimeout(() => socket.onclose({ code: 4401 }), 0);
  };
  await rest();
  hub.onMessage(tab, { type: "retry" });
  await rest();
  assert.deepEqual(tab.heard.flatMap((m) => (m.type === "token" ? m.isRefused : [])), [false, true]);
  hub.onMessage(tab, { type: "bye" });
});
