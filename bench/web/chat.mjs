// How fast the pages of messages are: a start with everything kept, going from one conversation to another, scrolling through a
// very long one, and what comes over the wire. Prints a JSON line.
//
// usage: chat.mjs URL USER PASSWORD LONG_CONVERSATION
import http from 'node:http';
import { chromium } from '../../tests/node_modules/playwright-core/index.mjs';

const [url, login, password, longId] = process.argv.slice(2);
const switches = 20;
const stepPx = 2000;
const wantedConversations = 500;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const figures = {};

// In every page: when the list could first be used, by its own clock.
await context.addInitScript(() => {
  window.usableMs = 0;
  const look = () => {
    if (document.querySelectorAll('.chat-list .conv').length >= 10) requestAnimationFrame(() => { window.usableMs = performance.now(); });
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});

function gzipped(script) {
  return new Promise((resolve, reject) => {
    http.get(script, { headers: { 'accept-encoding': 'gzip' } }, (reply) => {
      let bytes = 0;
      reply.on('data', (chunk) => { bytes += chunk.length; });
      reply.on('end', () => resolve(bytes));
    }).on('error', reject);
  });
}

async function open(path) {
  const page = await context.newPage();
  const scripts = new Set();
  page.on('response', (r) => r.request().resourceType() === 'script' && scripts.add(r.url()));
  await page.goto(url + path);
  return { page, scripts };
}

const usable = async (page) => {
  await page.waitForFunction(() => window.usableMs > 0);
  return page.evaluate(() => window.usableMs);
};

// ---- the first time: everything is fetched and kept ----

const shell = await open('/no-such-page');
await shell.page.locator('h1').waitFor();
await shell.page.close();
const reply = await context.request.post(`${url}/api/v1/auth/login`, { data: { login, password }, headers: { origin: url } });
if (!reply.ok()) throw new Error(await reply.text());
const first = await open('/c');
figures.first_start_ms = await usable(first.page);
const sizes = await Promise.all([...first.scripts].filter((s) => !shell.scripts.has(s)).map(gzipped));
figures.chat_js_kb = sizes.reduce((sum, bytes) => sum + bytes, 0) / 1000;
await first.page.waitForFunction((most) => new Promise((resolve) => {
  const request = indexedDB.open('parlance');
  request.onsuccess = () => {
    const count = request.result.transaction('conversations').objectStore('conversations').count();
    count.onsuccess = () => (request.result.close(), resolve(count.result >= most));
  };
}), wantedConversations, { timeout: 60_000, polling: 500 });
await first.page.waitForTimeout(8000); // what one is likely to look at is fetched meanwhile
await first.page.close();

// ---- again ----

const { page } = await open('/c');
figures.cached_start_ms = await usable(page);
await page.waitForTimeout(2500);

// From the click to the frame with the other conversation's message in it.
const taken = await page.evaluate(async (count) => {
  const frame = () => new Promise(requestAnimationFrame);
  const list = [...document.querySelectorAll('.chat-list .conv')].slice(1, count + 1);
  const taken = [];
  for (const row of list) {
    const title = row.querySelector('.conv-title').textContent;
    const wanted = title.replace('Group', 'Said in group');
    const from = performance.now();
    row.click();
    do await frame();
    while (![...document.querySelectorAll('.thread .msg-text')].some((e) => e.textContent.includes(wanted)) && performance.now() - from < 5000);
    taken.push(performance.now() - from);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return taken.sort((a, b) => a - b);
}, switches);
if (taken.length < 10) throw new Error(`only ${taken.length} conversations to go to`);
figures.switch_ms = taken[Math.floor(taken.length / 2)];
figures.slowest_switch_ms = taken[taken.length - 1];

// ---- the long one, from its end to its beginning ----

await page.goto(`${url}/c/${longId}`);
await page.locator('.msg').first().waitFor();
await page.waitForTimeout(1000);
const scrolled = await page.evaluate(async (px) => {
  const tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
  const el = document.querySelector('.thread');
  const firstSeq = () => Number(document.querySelector('[data-seq]')?.dataset.seq);
  const limit = performance.now() + 400_000;
  let rows = 0;
  let reached = firstSeq();
  let frames = 0;
  while (reached > 1 && performance.now() < limit) {
    await new Promise(requestAnimationFrame);
    el.scrollTop -= px;
    frames++;
    reached = firstSeq();
    rows = Math.max(rows, document.querySelectorAll('.thread li').length);
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { longest: Math.max(0, ...tasks), rows, reached, frames };
}, stepPx);
if (scrolled.reached > 1) throw new Error(`scrolled to message ${scrolled.reached} only: ${JSON.stringify({ ...figures, ...scrolled })}`);
figures.longest_task_ms = scrolled.longest;
figures.rows_mounted = scrolled.rows;
console.log(JSON.stringify(figures));
await browser.close();
