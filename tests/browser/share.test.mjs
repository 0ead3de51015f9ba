// Sharing a screen, and who comes late.
import assert from 'node:assert/strict';
import { scene, setUp } from './stage.mjs';

setUp();

scene('a shared screen is seen by the others until it is stopped', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  const cleo = await stage.person('Cleo');
  await cleo.enter(link);

  await bo.button('Share screen').click();
  for (const person of [ada, cleo]) {
    await person.tile('Bo', 'screen').locator('video').waitFor();
    const received = await person.receives('Bo', { sources: ['screen', 'camera', 'microphone'] });
    assert.ok(received.get('Bo screen').width >= 640, 'a screen is not sent as small as a face');
    // The screen has the stage: it is the largest tile.
    const widths = await person.page.locator('.tile').evaluateAll((tiles) => tiles.map((t) => [t.dataset.kind, t.offsetWidth]));
    assert.equal(widths.sort((a, b) => b[1] - a[1])[0][0], 'screen');
  }
  await bo.page.locator('.own-screen').waitFor();
  await bo.button('Stop sharing').first().click();
  for (const person of [ada, cleo]) {
    await person.tile('Bo', 'screen').waitFor({ state: 'detached' });
    await person.receives('Bo');
  }
  // And once more: the m-line that was given back is used again.
  await ada.button('Share screen').click();
  await bo.receives('Ada', { sources: ['screen'] });
  await cleo.receives('Ada', { sources: ['screen'] });
});

// The promise is a second from the click to the first picture. The machine of the tests may be busy with anything, so one newcomer
// of a few has to keep it, and all of them a limit that only something broken exceeds.
const PROMISE_MS = 1000;
const BROKEN_MS = 10_000;

scene('who comes late has a picture within a second', async (stage, t) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const waits = [];
  for (const name of ['Bo', 'Cleo', 'Dan', 'Eve', 'Fay', 'Gil']) {
    if (waits.length >= 2 && Math.min(...waits) <= PROMISE_MS) break;
    const late = await stage.person(name, { camera: { width: 320, height: 180 } });
    await late.open(link);
    await late.until('the meeting’s code is there before anybody clicks', () => performance.getEntriesByType('resource')
      .some((e) => /\/meeting-[^/]*\.css/.test(e.name) && e.responseEnd > 0));
    await late.join();
    waits.push(await late.until('a picture of Ada', () => {
      const first = window.seen.firstPictures[0];
      const click = window.seen.clicks.at(-1);
      return first && Math.round(first.at - click.at);
    }));
    await late.receives('Ada');
    await late.page.context().close();
    stage.people.splice(stage.people.indexOf(late), 1);
    await ada.tile(name).waitFor({ state: 'detached' });
  }
  t.diagnostic(`from the click to the first picture: ${waits.join(', ')} ms`);
  assert.ok(Math.min(...waits) <= PROMISE_MS, `${waits} ms`);
  assert.ok(Math.max(...waits) <= BROKEN_MS, `${waits} ms`);
});
