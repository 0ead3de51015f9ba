// No state of any screen has anything that axe-core finds wrong: all of its rules, WCAG 2.2 AA and beyond. Each state is
// looked at in one of the four dresses (desktop or phone, light or dark, English or Chinese) in turn, with SCREENS=all in
// all of them; SCENE=<pattern> chooses.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { startBrowser, variants } from "../../dev/browser.mjs";
import { scenes } from "../../dev/scenes.mjs";

const require = createRequire(new URL("../../../tests/package.json", import.meta.url));
const axe = readFileSync(require.resolve("axe-core"), "utf8");
const only = new RegExp(process.env.SCENE ?? ".");
let browser;

before(async () => (browser = await startBrowser()));
after(() => browser.close());

async function violations(page) {
  // Colours in the middle of a fade are nobody's choice.
  await page.evaluate(() => {
    const brief = document.getAnimations().filter((a) => a.effect.getTiming().iterations === 1);
    return Promise.all(brief.map((a) => a.finished.catch(() => undefined)));
  });
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(() => window.axe.run(document, { rules: { "target-size": { enabled: true } } }));
  return found.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")}: ${n.failureSummary.split("\n").slice(1).join("; ")}`));
}

for (const [i, [name, prepare]] of Object.entries(scenes).entries()) {
  if (!only.test(name)) continue;
  const all = Object.keys(variants);
  const dresses = process.env.SCREENS === "all" ? all : [all[i % all.length]];
  for (const dress of dresses)
    test(`${name}, ${dress}`, { timeout: 120_000 }, async () => {
      const page = await prepare(browser.open, variants[dress]);
      try {
        assert.deepEqual(await violations(page), []);
        assert.deepEqual(browser.takeProblems(), []);
      assert.deepEqual(await page.locator(".toast-bad").allTextContents(), []);
      } finally {
        await page.context().close();
      }
    });
}
