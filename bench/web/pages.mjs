// How long a guest waits: a cold browser opens a meeting's link, then joins. Prints a JSON line of milliseconds since navigation.
//
// usage: pages.mjs URL [join]
import { chromium } from '../../tests/node_modules/playwright-core/index.mjs';

const [url, mode] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--allow-loopback-in-peer-connection'],
});
const page = await (await browser.newContext({ permissions: mode ? ['camera', 'microphone'] : [] })).newPage();
await page.goto(url, { waitUntil: 'commit' });
const painted = await page.evaluate(() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    const entry = list.getEntriesByName('first-contentful-paint')[0];
    if (entry) resolve(entry.startTime);
  }).observe({ type: 'paint', buffered: true });
}));
const figures = { first_paint_ms: painted };
if (mode) {
  await page.waitForSelector('.join-btn');
  figures.can_join_ms = await page.evaluate(() => performance.now());
  const name = page.locator('input[type=text],input:not([type])').first();
  if (await name.count()) await name.fill('Guest');
  const clicked = await page.evaluate(() => performance.now());
  await page.click('.join-btn');
  await page.waitForFunction(() => [...document.querySelectorAll('video')].some((v) => v.videoWidth > 0) && !document.querySelector('.join-btn'));
  figures.joined_ms = await page.evaluate((from) => performance.now() - from, clicked);
}
console.log(JSON.stringify(figures));
await browser.close();
