// What people paste and are called.
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeFromText } from "../src/app/meetings";
import { safePath } from "../src/app/router";
import { colorOf, initials } from "../src/ui/avatar";

test("the code in what somebody pasted", () => {
  assert.equal(codeFromText(" abc-defg-hij "), "abc-defg-hij");
  assert.equal(codeFromText("ABC defg HIJ"), "abc-defg-hij");
  assert.equal(codeFromText("https://meet.example.org/m/abc-defg-hij?i=x"), "abc-defg-hij");
  for (const bad of ["", "ab", "see you there!", "https://example.org/", "<script>"]) assert.equal(codeFromText(bad), null, bad);
});

test("after signing in one stays on this site", () => {
  assert.equal(safePath("/m/abc?x=1"), "/m/abc?x=1");
  for (const bad of [null, "", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]) assert.equal(safePath(bad), "/");
});

test("initials of all kinds of names", () => {
  assert.equal(initials("Ada Lovelace"), "AL");
  assert.equal(initials("  grace  "), "G");
  assert.equal(initials("王小明"), "王");
  assert.equal(initials("linus.åkesson"), "LÅ");
  assert.equal(initials("🐧 Tux"), "🐧T");
  assert.equal(initials(""), "?");
  assert.equal(colorOf("Ada"), colorOf("Ada"));
});
