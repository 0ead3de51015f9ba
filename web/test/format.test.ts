// Messages as build/messages.mjs compiles them, evaluated as the page does it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compile } from "../build/messages.mjs";
import { evaluate, type Args, type Message } from "../src/i18n/format";

const say = (icu: string, args: Args = {}, locale = "en") => evaluate(compile(icu) as Message, args, locale);

test("texts and arguments", () => {
  assert.equal(say("Hello"), "Hello");
  assert.equal(say("Hello {name}!", { name: "Ada" }), "Hello Ada!");
  assert.equal(say("Hello {name}!", { name: "<b>" }), "Hello <b>!");
  assert.equal(say("{n, number}", { n: 12345 }), "12,345");
});

test("plurals: exact cases first, then those of the language, with offsets", () => {
  const icu = "{n, plural, =0 {nobody} one {# person} other {# people}}";
  assert.equal(say(icu, { n: 0 }), "nobody");
  assert.equal(say(icu, { n: 1 }), "1 person");
  assert.equal(say(icu, { n: 1200 }), "1,200 people");
  assert.equal(say("{n, plural, one {# člověk} few {# lidé} other {# lidí}}", { n: 3 }, "cs"), "3 lidé");
  assert.equal(say("{n, plural, offset:1 =1 {you} one {you and # more} other {you and # others}}", { n: 3 }), "you and 2 others");
  assert.equal(say("{n, plural, other {# 人}}", { n: 2 }, "zh-CN"), "2 人");
});

test("selects, nested", () => {
  const icu = "{who, select, me {You left} other {{name} left {n, plural, one {# seat} other {# seats}}}}";
  assert.equal(say(icu, { who: "me", name: "", n: 0 }), "You left");
  assert.equal(say(icu, { who: "x", name: "Bo", n: 2 }), "Bo left 2 seats");
});

test("what cannot be evaluated is refused when it is built", () => {
  assert.throws(() => compile("{when, date, short}"));
  assert.throws(() => compile("{n, plural, one {x}}"));
  assert.throws(() => compile("{n"));
});
