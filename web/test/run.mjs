// Runs the unit tests: bundles test/*.test.ts for Node (the code under test is TypeScript) and hands them to node --test.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { messagesPlugin } from "../build/messages.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.join(here, "../.cache/test");
const tests = readdirSync(here).filter((f) => f.endsWith(".test.ts") || f.endsWith(".test.mjs"));

rmSync(out, { recursive: true, force: true });
await esbuild.build({
  entryPoints: tests.map((f) => path.join(here, f)),
  bundle: true,
  platform: "node",
  target: "node18",
  format: "esm",
  outdir: out,
  outExtension: { ".js": ".mjs" },
  external: ["@formatjs/*", "esbuild"],
  jsx: "automatic",
  jsxImportSource: "preact",
  plugins: [messagesPlugin()],
  banner: { js: 'globalThis.location ??= new URL("http://localhost/");' }, // the router reads it when it is loaded
  define: { __MEETING_CSS__: '""', __CHAT_WORKER__: '""', "import.meta.webRoot": JSON.stringify(path.join(here, "..")) },
  logLevel: "warning",
});
const files = readdirSync(out).map((f) => path.join(out, f));
process.exit(spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1);
