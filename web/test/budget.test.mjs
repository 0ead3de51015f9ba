// What a person downloads before the first click, and what the meeting and the chat add: gzipped JavaScript, by the build's own
// account of which file needs which.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const root = process.cwd();
const meta = JSON.parse(readFileSync(path.join(root, ".cache/meta.json"), "utf8"));
const languages = ["en", "zh"];
const prejoinMostBytes = 60_000;
const meetingMostBytes = 90_000;
const chatMostBytes = 80_000;

function fileOf(source) {
  const found = Object.entries(meta.outputs).find(([, o]) => o.entryPoint === source);
  assert.ok(found, `no chunk for ${source}`);
  return found[0];
}

function withImports(files, seen = new Set()) {
  for (const file of files) {
    if (seen.has(file)) continue;
    seen.add(file);
    const imports = meta.outputs[file].imports.filter((i) => i.kind === "import-statement");
    withImports(imports.map((i) => i.path), seen);
  }
  return seen;
}

const sizeOf = (files) => [...files].reduce((sum, f) => sum + gzipSync(readFileSync(path.join(root, f)), { level: 9 }).length, 0);
const sourcesOf = (lang) => ({
  prejoin: ["src/main.tsx", "src/prejoin/prejoin.tsx", `src/i18n/${lang}/core.json`],
  meeting: ["src/meeting/meeting.tsx", `src/i18n/${lang}/meeting.json`],
  shell: ["src/main.tsx", `src/i18n/${lang}/core.json`],
  chat: ["src/chat/chat.tsx", `src/i18n/${lang}/pages.json`, `src/i18n/${lang}/chat.json`],
});

for (const lang of languages) {
  const { prejoin, meeting, shell, chat } = sourcesOf(lang);
  const before = withImports(prejoin.map(fileOf));
  const all = withImports(meeting.map(fileOf), new Set(before));
  const added = [...all].filter((f) => !before.has(f));

  test(`prejoin (${lang}): at most ${prejoinMostBytes} bytes`, (t) => {
    const bytes = sizeOf(before);
    t.diagnostic(`${bytes} bytes in ${before.size} files`);
    assert.ok(before.size >= 3 && bytes > 10_000, "the account of the build is not plausible");
    assert.ok(bytes <= prejoinMostBytes);
  });
  test(`meeting (${lang}): at most ${meetingMostBytes} bytes more`, (t) => {
    const bytes = sizeOf(added);
    t.diagnostic(`${bytes} bytes in ${added.length} files`);
    assert.ok(added.length >= 2 && bytes > 10_000, "the account of the build is not plausible");
    assert.ok(bytes <= meetingMostBytes);
  });
  test(`chat (${lang}): at most ${chatMostBytes} bytes beside the shell`, (t) => {
    const held = withImports(shell.map(fileOf));
    const files = [...withImports(chat.map(fileOf), new Set(held))].filter((f) => !held.has(f));
    const bytes = sizeOf([...files, `dist/${meta.chatWorker}`]);
    t.diagnostic(`${bytes} bytes in ${files.length} files`);
    assert.ok(files.length >= 3 && bytes > 10_000, "the account of the build is not plausible");
    assert.ok(bytes <= chatMostBytes);
  });
}
