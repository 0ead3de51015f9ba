// Mentions: what is typed, who fits, which words are names.
import assert from "node:assert/strict";
import { test } from "node:test";
import { everybody, fitting, mentionsIn, segments, typedMention } from "../src/chat/mentions";

const people = [
  { id: "g", names: ["Grace Hopper", "grace"] }, { id: "a", names: ["Al"] }, { id: "n", names: ["Alan Turing", "alan"] }, { id: "w", names: ["王小明", "wang"] },
  { id: everybody, names: ["everybody", "all", "所有人"] },
];

test("the mention at the caret", () => {
  assert.deepEqual(typedMention("hi @gr", 6), { from: 3, query: "gr" });
  assert.deepEqual(typedMention("你好@王", 4), { from: 2, query: "王" }, "Han needs no space before it");
  assert.deepEqual(typedMention("@", 1), { from: 0, query: "" });
  assert.equal(typedMention("mail ann@example", 16), null, "an address");
  assert.equal(typedMention("@ gr", 4), null);
  assert.equal(typedMention("@gr\nx", 5), null);
  assert.equal(typedMention("hi @gr", 2), null, "the caret stands before it");
});

test("who fits: by the beginning of a word, whole names first", () => {
  assert.deepEqual(fitting(people, "al", 8).map((p) => p.id), ["a", "n", everybody]);
  assert.deepEqual(fitting(people, "hop", 8).map((p) => p.id), ["g"]);
  assert.deepEqual(fitting(people, "race", 8), []);
  assert.equal(fitting(people, "", 2).length, 2);
});

test("words that are names: the longest, whole, and not in addresses", () => {
  assert.deepEqual(segments("Ask @Alan Turing, @al and bob@al", people), ["Ask ", { id: "n", text: "@Alan Turing" }, ", ", { id: "a", text: "@al" }, " and bob@al"]);
  assert.deepEqual(segments("@王小明你好", people), [{ id: "w", text: "@王小明" }, "你好"]);
  assert.deepEqual(segments("@alana", people), ["@alana"]);
  assert.deepEqual(segments("nobody", people), ["nobody"]);
  assert.deepEqual(segments("", people), []);
});

test("what goes beside the text: each once, everybody apart", () => {
  assert.deepEqual(mentionsIn("@grace @Grace Hopper @ALL", people), { mentions: ["g"], is_mentioning_all: true });
  assert.deepEqual(mentionsIn("@all", people.slice(0, 4)), { mentions: [], is_mentioning_all: false }, "only where it is allowed");
});

test("a letter that grows in lower case shifts no names", () => {
  assert.deepEqual(segments("İ @grace", people).at(-1), { id: "g", text: "@grace" });
});
