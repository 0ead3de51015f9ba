// A meeting on a telephone: by touch, in a narrow window, over TLS as everywhere but on this machine itself.
import assert from 'node:assert/strict';
import { phone, scene, setUp } from './stage.mjs';

setUp({ PARLANCE_TLS_ENABLED: 'true' });

scene('a guest with a phone takes part', async (stage) => {
  const ada = await stage.account('Ada', { isTls: true });
  const link = await ada.newMeeting();
  await ada.join();
  const gus = await stage.person('Gus', { size: phone, isTls: true, camera: { width: 360, height: 640 } });
  await gus.open(link);
  await gus.page.fill('input[name=name]', 'Gus');
  await gus.page.locator('.join-btn').tap();
  await gus.isInside();
  await gus.receives('Ada');
  await ada.receives('Gus');
  const bo = await stage.person('Bo', { isTls: true });
  await bo.enter(link);
  await gus.receives(['Ada', 'Bo']);

  const { page } = gus;
  await gus.button('Raise hand').tap();
  await ada.tile('Gus').locator('.hand-badge').waitFor();
  await gus.button('Turn microphone off').tap();
  await ada.tile('Gus').getByRole('img', { name: 'Microphone off' }).waitFor();
  // Everything that can be touched is large enough, and within the window.
  const bad = await page.locator('.bar-main button:visible, .bar-side button:visible').evaluateAll((buttons) => buttons.map((b) => [b.getAttribute('aria-label'), b.getBoundingClientRect()])
    .filter(([, r]) => r.width < 24 || r.height < 40 || r.left < 0 || r.right > innerWidth || r.bottom > innerHeight).map(([name]) => name));
  assert.deepEqual(bad, []);
  await page.locator('.bar-side').getByRole('button', { name: /^People/ }).tap();
  await gus.personRow('Bo').waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.locator('.panel').getByRole('button', { name: 'Close' }).tap();
  await gus.button('More').tap();
  await page.getByRole('menuitemradio', { name: 'Speaker' }).tap();
  await page.locator('.tile.is-stage').waitFor();
  await gus.receives(['Ada', 'Bo'], { sources: ['microphone'] });
  await gus.button('Leave').tap();
  await page.getByRole('heading', { name: 'You left the meeting' }).waitFor();
  await ada.tile('Gus').waitFor({ state: 'detached' });
});
