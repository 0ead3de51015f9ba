// Looks at one state of the pages on a desktop and on a phone, in light and in dark: axe must find nothing, nothing may hang
// over the edge, and no text may be missing from the catalogue of the language.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { desktop, phone } from './stage.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const sizes = { desktop, phone };

// Runs in the page.
async function examine() {
  const isEnding = (a) => a.effect?.getComputedTiming().iterations !== Infinity;
  await Promise.all(document.getAnimations().filter(isEnding).map((a) => a.finished.catch(() => undefined)));
  const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
  const found = violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.any.concat(n.all, n.none).map((c) => c.message)[0]}`));
  const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (over > 0) found.push(`${over} px wider than the window`);
  const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (text.nextNode())
    if (/^[a-z]+(\.[A-Za-z_]+)+$/.test(text.currentNode.data.trim())) found.push(`a text is missing: ${text.currentNode.data}`);
  return found;
}

export class Examiner {
  constructor(person) {
    this.page = person.page;
    this.found = [];
    this.looks = 0;
  }

  // `open` makes what a change of the window's size closes (menus), `close` takes it away. A meeting is dark whatever one chose.
  async look(state, { open, close, themes = ['light', 'dark'] } = {}) {
    for (const [size, viewport] of Object.entries(sizes)) {
      await this.page.setViewportSize(viewport);
      await open?.();
      for (const theme of themes) {
        await this.page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
        await this.page.waitForFunction((t) => document.documentElement.dataset.theme === t, theme);
        if (!await this.page.evaluate('typeof axe === "object"')) await this.page.evaluate(axe);
        this.found.push(...(await this.page.evaluate(examine)).map((f) => `${state}, ${size}, ${theme}: ${f}`));
        this.looks++;
      }
      await close?.();
    }
    await this.page.setViewportSize(desktop);
  }

  done(t) {
    t.diagnostic(`${this.looks} looks`);
    assert.equal(this.found.length, 0, `\n${this.found.join('\n')}`);
  }
}
