// What one read and began to write, kept until the server knows it.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError } from "../src/app/api-error";
import { Marks } from "../src/chat/marks";
import type { Conversation } from "../src/chat/types";

const storage = new Map<string, string>();
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
beforeEach(() => storage.clear());

function make(fail: (name: string, id: string) => string = () => "", me = "u1", reply: object = {}) {
  const asked: [string, object][] = [];
  const refused: string[] = [];
  const link = { isOpen: true };
  const told: Conversation[] = [];
  const marks = new Marks(me, {
    onTold: (c) => told.push(c),
    isOpen: () => link.isOpen,
    onRefused: (id) => refused.push(id),
    request: async <T>(name: string, body: object) => {
      asked.push([name, body]);
      const code = fail(name, (body as { id: string }).id);
      if (code) throw new ApiError(code, code, "", 0);
      return reply as T;
    },
  });
  return { marks, asked, refused, link, told };
}

const c = (read_seq: number, unread_count: number): Conversation => ({
  id: "c", kind: "group", title: "T", peer_id: "", member_count: 2, last_seq: 9, rev: 9, active_at_ms: 0,
  own: { role: "member", state: "active", read_seq, unread_count, mention_count: 1 },
});
const rest = () => new Promise((resolve) => setTimeout(resolve, 5));

test("made without a connection, told by the next page", async () => {
  const first = make();
  first.link.isOpen = false;
  first.marks.read("c", 7);
  first.marks.read("c", 5);
  first.marks.keepDraft("c", "half a thou");
  first.marks.keepDraft("u:u2", "to somebody new");
  first.marks.keepDraft("c/4", "in a thread");
  first.marks.close();
  assert.deepEqual(first.asked, []);
  const next = make();
  assert.deepEqual(["c", "u:u2", "c/4", "d"].map((to) => next.marks.draftOf(to)), ["half a thou", "to somebody new", "in a thread", undefined]);
  await next.marks.tell();
  assert.deepEqual(next.asked, [["mark_as_read", { id: "c", seq: 7 }], ["set_own", { id: "c", draft: "half a thou" }]], "reading never goes back");
  assert.deepEqual([...storage.keys()].map((k) => k.slice("parlance.draft.u1.".length)).sort(), ["c/4", "u:u2"], "the server has the rest");
  next.marks.keepDraft("c/4", "");
  assert.equal(storage.size, 1);
  next.marks.close();
});

test("until then a conversation is drawn as it will be", () => {
  const { marks, link } = make();
  link.isOpen = false;
  marks.read("c", 7);
  assert.deepEqual([marks.over(c(3, 6)).own?.read_seq, marks.over(c(3, 6)).own?.unread_count], [7, 2]);
  const newer = c(8, 1);
  assert.equal(marks.over(newer), newer, "another device has read more");
  marks.close();
});

test("a busy server is asked again, one that refuses is believed", async () => {
  let code = "unavailable";
  const busy = make(() => code);
  busy.marks.read("c", 7);
  await rest();
  assert.equal(storage.size, 1);
  code = "";
  await busy.marks.tell();
  assert.deepEqual([storage.size, busy.asked.length], [0, 2]);
  busy.marks.close();
  const no = make(() => "not_found");
  no.marks.read("c", 7);
  await rest();
  assert.deepEqual([storage.size, no.refused], [0, ["c"]]);
  no.marks.close();
});

test("nothing of a guest is kept, nothing is kept after the end", () => {
  const guest = make(() => "offline", "");
  guest.marks.keepDraft("c/4", "x");
  assert.deepEqual([storage.size, guest.marks.draftOf("c/4")], [0, "x"]);
  guest.marks.close();
  const { marks } = make(() => "offline");
  marks.close();
  marks.keepDraft("c/4", "late");
  assert.equal(storage.size, 0);
});

test("a conversation in trouble holds up no other", async () => {
  const { marks, asked, link } = make((_, id) => (id === "bad" ? "internal" : ""));
  link.isOpen = false;
  marks.read("bad", 3);
  marks.read("good", 4);
  await rest();
  link.isOpen = true;
  await marks.tell();
  assert.ok(asked.some(([, body]) => (body as { id: string }).id === "good"));
  assert.deepEqual([...storage.keys()], ["parlance.draft.u1.bad"]);
  marks.close();
});

test("what was told is the server's: another device's draft is seen again", async () => {
  const { marks, told } = make(undefined, "u1", { id: "c", own: { draft: "" } });
  marks.keepDraft("c", "");
  await marks.tell();
  assert.deepEqual([marks.draftOf("c"), told.length], [undefined, 1]);
  marks.keepDraft("c", "new");
  assert.equal(marks.draftOf("c"), "new");
  marks.close();
});

test("what is written to somebody new goes on in the conversation that began", () => {
  const { marks } = make();
  marks.keepDraft("u:u2", "and another th");
  marks.move("u:u2", "c");
  assert.deepEqual([marks.draftOf("u:u2"), marks.draftOf("c")], ["", "and another th"]);
  assert.deepEqual([...storage.keys()], ["parlance.draft.u1.c"]);
  marks.close();
});

test("a draft that is refused is kept here, and not told again", async () => {
  const { marks, asked, refused } = make((name) => (name === "set_own" ? "permission_denied" : ""));
  marks.keepDraft("c", "lost?");
  await marks.tell();
  marks.read("c", 3);
  await rest();
  assert.deepEqual([asked.map(([name]) => name), refused], [["set_own", "mark_as_read"], ["c"]]);
  marks.close();
  const next = make();
  await next.marks.tell();
  assert.deepEqual([next.marks.draftOf("c"), next.asked], ["lost?", []]);
  next.marks.keepDraft("c", "changed");
  await next.marks.tell();
  assert.deepEqual([next.asked, storage.size], [[["set_own", { id: "c", draft: "changed" }]], 0]);
  next.marks.close();
});

test("what another tab wrote while a draft was told is not lost", async () => {
  const { marks } = make((name) => {
    if (name === "set_own") storage.set("parlance.draft.u1.c", JSON.stringify({ draft: "older and more", atMs: Date.now() + 1 }));
    return "";
  }, "u1", { id: "c", own: { draft: "older" } });
  marks.keepDraft("c", "older");
  await marks.tell();
  assert.equal((JSON.parse(storage.get("parlance.draft.u1.c") ?? "{}") as { draft?: string }).draft, "older and more");
  assert.equal(marks.draftOf("c"), "older and more");
  marks.close();
});

test("of a draft of the page before the server's answer counts, too", async () => {
  storage.set("parlance.draft.u1.c", JSON.stringify({ draft: "kept", atMs: 1 }));
  const { marks, told } = make(undefined, "u1", { id: "c", own: { draft: "kept" } });
  await marks.tell();
  assert.deepEqual([told.length, storage.size], [1, 0]);
  marks.close();
});
