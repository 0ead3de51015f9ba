// What people show one another without words, and how each looks at the others.
import assert from 'node:assert/strict';
import { eventually } from '../flow/server.mjs';
import { PATIENCE_MS, scene, setUp } from './stage.mjs';

setUp();

// Cleo talks without pause.
async function three(stage) {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  const cleo = await stage.person('Cleo');
  await cleo.page.addInitScript(() => { window.isHumming = true; });
  await cleo.enter(link);
  return { ada, bo, cleo };
}

scene('hands, reactions and who is muted are seen by all', async (stage) => {
  const { ada, bo, cleo } = await three(stage);
  await cleo.page.keyboard.press('h');
  await ada.tile('Cleo').getByRole('img', { name: 'Hand raised, number 1' }).waitFor();
  await bo.page.keyboard.press('h');
  await ada.tile('Bo').getByRole('img', { name: 'Hand raised, number 2' }).waitFor();
  await ada.page.getByText('Bo raised a hand').first().waitFor();
  await ada.pick('Cleo', 'Lower hand');
  await cleo.button('Raise hand').waitFor();
  await cleo.tile('Bo').getByRole('img', { name: 'Hand raised, number 1' }).waitFor();

  // What is shown for a moment only is waited for before it is made.
  await bo.button('React').click();
  const flying = [ada, bo, cleo].map((person) => person.page.locator('.flyer img[alt=Applause]').first().waitFor());
  await bo.button('Applause').click();
  await Promise.all(flying);

  // Who talks on is told that nobody hears it.
  const hint = cleo.page.locator('.bar-hint', { hasText: 'You are muted' }).waitFor();
  await cleo.page.keyboard.press('m');
  await ada.tile('Cleo').getByRole('img', { name: 'Microphone off' }).waitFor();
  await hint;
  await cleo.page.keyboard.press('m');
  await ada.tile('Cleo').getByRole('img', { name: 'Microphone off' }).waitFor({ state: 'detached' });
  await ada.tile('Cleo').getByRole('img', { name: 'Speaking' }).waitFor();

  await cleo.page.keyboard.press('v');
  await ada.tile('Cleo').locator('video').waitFor({ state: 'detached' });
  await cleo.page.keyboard.press('v');
  await ada.tile('Cleo').locator('video').waitFor();
  await ada.receives('Cleo');
});

const receivesWidths = (person, widths) => eventually(async () => {
  const now = await person.received();
  const got = Object.fromEntries(Object.keys(widths).map((key) => [key, now.get(key)?.width]));
  assert.deepEqual(got, widths);
}, { ms: PATIENCE_MS, every: 200 });

// Chromium opens its fake camera once for all pages, in the size of who asked first.
for (const { width, height, layers } of [
  { width: 320, height: 180, layers: { q: 1 } },
  { width: 640, height: 360, layers: { q: 2, h: 1 } },
  { width: 1280, height: 720, layers: { q: 4, h: 2, f: 1 } },
])
  scene(`a camera of ${width} x ${height} is sent in its full size and in smaller ones`, async (stage) => {
    const ada = await stage.account('Ada', { camera: { width, height } });
    const link = await ada.newMeeting();
    await ada.join();
    const sent = await ada.until('a picture is sent', async () => {
      const sender = window.seen.connections.flatMap((c) => c.getSenders()).find((s) => s.track?.kind === 'video');
      const active = sender?.getParameters().encodings.filter((e) => e.active);
      return active && Object.fromEntries(active.map((e) => [e.rid, e.scaleResolutionDownBy]));
    });
    assert.deepEqual(sent, layers);
    if (width > 640) return; // a busy machine does not get there
    const bo = await stage.person('Bo');
    await bo.enter(link);
    await receivesWidths(bo, { 'Ada camera': width });
  });

scene('layouts and a pin: the pictures move and never stop', async (stage) => {
  const { ada } = await three(stage);
  await ada.receives(['Bo', 'Cleo']);
  const widths = () => ada.page.locator('.tile').evaluateAll((tiles) => Object.fromEntries(tiles
    .map((t) => [window.seen.names.get(t.dataset.participant), t.offsetWidth])));
  const settles = (what, holds) => ada.until(what, `(${holds})(Object.fromEntries([...document.querySelectorAll('.tile')]
    .map((t) => [seen.names.get(t.dataset.participant), t.offsetWidth])))`);
  await settles('a grid of equals', (w) => w.Ada === w.Bo && w.Bo === w.Cleo);
  await ada.pick('Cleo', 'Pin');
  await settles('Cleo on the stage', (w) => w.Cleo > 2 * w.Bo && w.Bo === w.Ada);
  await ada.tile('Cleo').getByRole('img', { name: 'Pinned' }).waitFor();
  await ada.receives(['Bo', 'Cleo']);
  // Each comes in the size in which it is shown: the large one as its camera gives it, the small one smaller.
  await receivesWidths(ada, { 'Cleo camera': 640, 'Bo camera': 320 });
  await ada.pick('Cleo', 'Unpin');
  await settles('a grid again', (w) => w.Ada === w.Bo && w.Bo === w.Cleo);
  await ada.button('More').click();
  await ada.page.getByRole('menuitemradio', { name: 'Speaker' }).click();
  await settles('one on the stage', (w) => Math.max(w.Bo, w.Cleo) > 2 * w.Ada);
  await ada.page.keyboard.press('l');
  await settles('automatic: a grid', (w) => w.Ada === w.Bo && w.Bo === w.Cleo);
  await ada.receives(['Bo', 'Cleo']);
  assert.equal(Object.keys(await widths()).length, 3);
});

scene('another microphone and another camera in the middle of it', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  await bo.receives('Ada');
  const devices = () => ada.page.evaluate(() => window.seen.connections.flatMap((c) => c.getSenders())
    .map((s) => s.track?.label).filter(Boolean).sort());
  const first = await devices();
  for (const [kind, name] of [['microphone', /Fake Audio Input 1/], ['camera', /fake_device_2/]]) {
    await ada.button(`Choose ${kind}`).click();
    await ada.page.getByRole('menuitemradio', { name }).click();
  }
  await eventually(async () => {
    const now = await devices();
    assert.equal(now.length, first.length);
    for (const label of now) assert.ok(!first.includes(label), `${now} after ${first}`);
  }, { ms: PATIENCE_MS, every: 100 });
  await bo.receives('Ada');
  // The choice is remembered by this browser.
  const second = await devices();
  await ada.button('Leave').click();
  await ada.button('Leave only').click();
  await ada.enter(link);
  await bo.receives('Ada');
  assert.deepEqual(await devices(), second);
});
