// Both catalogues say the same things with the same arguments, and the code names no key that is not there.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parse, TYPE } from "@formatjs/icu-messageformat-parser";

const root = process.cwd();
const parts = ["core", "pages", "meeting", "chat"];
const read = (lang, part) => JSON.parse(readFileSync(path.join(root, `src/i18n/${lang}/${part}.json`), "utf8"));

function argumentsOf(elements, found = new Set()) {
  for (const e of elements) {
    if (e.type !== TYPE.literal && e.type !== TYPE.pound) found.add(e.value);
    for (const option of Object.values(e.options ?? {})) argumentsOf(option.value, found);
  }
  return found;
}
const args = (message) => [...argumentsOf(parse(message, { ignoreTag: true }))].sort();

function sources(dir = path.join(root, "src")) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((e) =>
    e.isDirectory() ? sources(path.join(dir, e.name)) : /\.tsx?$/.test(e.name) ? [path.join(dir, e.name)] : [],
  );
}

for (const part of parts) {
  test(`${part}: the same keys in the same order`, () => {
    assert.deepEqual(Object.keys(read("zh", part)), Object.keys(read("en", part)));
  });
  test(`${part}: the same arguments, and no text left empty`, () => {
    const [en, zh] = [read("en", part), read("zh", part)];
    for (const key of Object.keys(en)) {
      assert.deepEqual(args(zh[key]), args(en[key]), key);
      assert.ok(en[key].trim() && zh[key].trim(), key);
    }
  });
}

test("no key stands in two parts", () => {
  const all = parts.flatMap((p) => Object.keys(read("en", p)));
  assert.deepEqual(all.filter((k, i) => all.indexOf(k) !== i), []);
});

test("every key named in the code exists, and every key is used", () => {
  const keys = new Set(parts.flatMap((p) => Object.keys(read("en", p))));
  const code = sources().map((f) => readFileSync(f, "utf8")).join("\n");
  const named = [...code.matchAll(/\bt\(\s*"([^"]+)"/g)].map((m) => m[1]);
  assert.ok(named.length > 100);
  for (const key of named) assert.ok(keys.has(key), `${key} is not in the catalogues`);
  // Keys made at run time: `prefix.${…}`.
  const prefixes = [...code.matchAll(/`([a-z]+(?:\.[A-Za-z_]+)*\.[A-Za-z_]*)\$\{/gi)].map((m) => m[1]);
  for (const key of keys) {
    const isNamed = code.includes(`"${key}"`) || prefixes.some((p) => key.startsWith(p));
    assert.ok(isNamed, `${key} is never used`);
  }
});
