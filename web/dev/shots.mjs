// Takes pictures of every screen state from the mock, for looking at them: desktop and phone, light and dark, English and
// Chinese.
//   npm run shots -- [OUT_DIR] [name-filter] [variant-filter]
import { mkdirSync } from "node:fs";
import path from "node:path";
import { startBrowser, variants } from "./browser.mjs";
import { scenes } from "./scenes.mjs";

const [out = ".cache/shots", name = "", variant = ""] = process.argv.slice(2).filter((a) => !a.startsWith("--"));
mkdirSync(out, { recursive: true });
const { open, close, takeProblems } = await startBrowser();

for (const [scene, prepare] of Object.entries(scenes).filter(([s]) => new RegExp(name).test(s))) {
  for (const [dress, v] of Object.entries(variants).filter(([d]) => new RegExp(variant).test(d))) {
    try {
      const page = await prepare(open, v);
      await page.waitForTimeout(400);
      await page.screenshot({ path: path.join(out, `${scene}.${dress}.png`) });
      await page.context().close();
      console.log(`${scene}.${dress}`);
    } catch (error) {
      console.log(`${scene}.${dress}: ${error.message.split("\n")[0]}`);
    }
    for (const problem of takeProblems()) console.log(`  ${problem}`);
  }
}
await close();
