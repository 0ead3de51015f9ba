// Builds the browser client into dist/: index.html, favicon and assets/ with hashed names. The C build embeds what it
// finds there, so nothing else may be written into it. Facts for the size test go to .cache/meta.json.
//   node build.mjs [--watch] [--quiet] [--sourcemap]
import { mkdir, readFile, rm, writeFile, cp } from "node:fs/promises";
import { createHash } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { messagesPlugin } from "./build/messages.mjs";
import { emojiPlugin } from "./build/emoji.mjs";

const root = path.dirname(fileURLToPath(import.meta.url));
const flags = new Set(process.argv.slice(2));
const dist = path.join(root, "dist");

const shared = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  outdir: "dist",
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  assetNames: "assets/[name]-[hash]",
  metafile: true,
  logLevel: "warning",
  target: ["chrome109", "firefox115", "safari16.4"],
  sourcemap: flags.has("--sourcemap"),
};

// Where esbuild put the bundle of an entry point, relative to dist.
function outputOf(metafile, entry) {
  for (const [file, output] of Object.entries(metafile.outputs))
    if (output.entryPoint === entry && !file.endsWith(".map")) return path.relative("dist", file);
  throw new Error(`no output for ${entry}`);
}

// The files an entry loads before it runs: itself and what it imports statically.
export function staticClosure(metafile, file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const i of metafile.outputs[file]?.imports ?? [])
    if (i.kind === "import-statement") staticClosure(metafile, i.path, seen);
  return seen;
}

// What pages without a connection may need: all but meetings, their entrance and administration.
function shellFiles(metafile) {
  const isLeftOut = (entry = "") => /src\/(meeting|prejoin)\/|pages\/admin|i18n\/\w+\/meeting/.test(entry);
  return Object.entries(metafile.outputs)
    .filter(([file, o]) => !file.endsWith(".map") && !isLeftOut(o.entryPoint))
    .map(([file]) => path.relative("dist", file));
}

// Its name has no hash: browsers ask for it anew to see whether there is another build.
async function buildServiceWorker(html, files) {
  const build = createHash("sha256").update(html).update(files.join()).digest("hex").slice(0, 12);
  await esbuild.build({
    ...shared, metafile: false, entryPoints: ["src/sw.ts"], entryNames: "[name]", format: "iife", legalComments: "none",
    define: { __BUILD__: JSON.stringify(build), __SHELL__: JSON.stringify(files.map((f) => `/${f}`)) },
  });
}

async function build() {
  await rm(dist, { recursive: true, force: true });
  await mkdir(path.join(dist, "assets"), { recursive: true });
  const css = await esbuild.build({
    ...shared,
    entryPoints: ["src/styles/app.css", "src/styles/meeting.css"],
  });
  const appCss = outputOf(css.metafile, "src/styles/app.css");
  const meetingCss = outputOf(css.metafile, "src/styles/meeting.css");
  const worker = await esbuild.build({ ...shared, entryPoints: ["src/chat/worker.ts"], format: "iife", legalComments: "none" });
  const chatWorker = outputOf(worker.metafile, "src/chat/worker.ts");
  const js = await esbuild.build({
    ...shared,
    entryPoints: ["src/main.tsx"],
    format: "esm",
    splitting: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    define: { __MEETING_CSS__: JSON.stringify("/" + meetingCss), __CHAT_WORKER__: JSON.stringify("/" + chatWorker) },
    plugins: [messagesPlugin(), emojiPlugin()],
    legalComments: "none",
  });
  const main = outputOf(js.metafile, "src/main.tsx");
  const preloads = [...staticClosure(js.metafile, `dist/${main}`)]
    .filter((f) => f !== `dist/${main}`)
    .map((f) => `<link rel="modulepreload" href="/${path.relative("dist", f)}">`);
  const html = (await readFile(path.join(root, "src/index.html"), "utf8"))
    .replace("<!-- css -->", `<link rel="stylesheet" href="/${appCss}">`)
    .replace("<!-- js -->", [`<script type="module" src="/${main}"></script>`, ...preloads].join("\n    "));
  await writeFile(path.join(dist, "index.html"), html);
  await buildServiceWorker(html, [appCss, chatWorker, ...shellFiles(js.metafile)]);
  await cp(path.join(root, "src/public"), dist, { recursive: true });
  await mkdir(path.join(root, ".cache"), { recursive: true });
  await writeFile(
    path.join(root, ".cache/meta.json"),
    JSON.stringify({ main, appCss, meetingCss, chatWorker, outputs: js.metafile.outputs }),
  );
  if (!flags.has("--quiet")) console.log(`web: built ${Object.keys(js.metafile.outputs).length + 3} files into dist/`);
}

await build();
if (flags.has("--watch")) {
  const { watch } = await import("node:fs");
  let timer;
  watch(path.join(root, "src"), { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(() => build().catch((e) => console.error(e.message)), 150);
  });
}
