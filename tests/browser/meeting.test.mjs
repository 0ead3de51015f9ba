// The first promise: people open a link, and see and hear one another.
import assert from 'node:assert/strict';
import { scene, setUp } from './stage.mjs';

setUp();

scene('three pages in one meeting see and hear each other', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  const cleo = await stage.person('Cleo');
  await cleo.enter(link);

  const people = [ada, bo, cleo];
  for (const person of people) {
    const others = people.filter((p) => p !== person).map((p) => p.name);
    await person.receives(others);
    for (const other of others) await person.tile(other).locator('video').waitFor();
    assert.equal(await person.page.locator('.tile').count(), people.length);
  }
  // What stands on the page is a picture, and it moves.
  for (const other of ['Ada', 'Bo']) {
    // The fake camera draws a pie that grows from nothing: for a moment it is one colour.
    const first = await cleo.until(`a picture of ${other}, not one colour`, (name) => {
      const now = window.seen.picture(name, 'camera');
      return now?.spread > 5 && now;
    }, other);
    await cleo.until(`a moving picture of ${other}`, ([name, hash]) => {
      const now = window.seen.picture(name, 'camera');
      return now && now.hash !== hash;
    }, [other, first.hash]);
  }
  const ciphers = await cleo.page.evaluate(() => window.seen.ciphers());
  assert.equal(ciphers.length, 2);
  for (const { dtlsState, srtpCipher } of ciphers) {
    assert.equal(dtlsState, 'connected');
    assert.match(srtpCipher, /GCM/);
  }
});

scene('who clicks before the devices are open comes in with picture and sound all the same', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.person('Bo');
  await bo.page.addInitScript(() => {
    window.devicesHeld = new Promise((resolve) => { window.releaseDevices = resolve; });
  });
  await bo.enter(link);
  await bo.receives('Ada');
  await ada.tile('Bo').getByRole('img', { name: 'Microphone off' }).waitFor();
  await bo.page.evaluate(() => window.releaseDevices());
  await ada.receives('Bo');
  await bo.button('Turn microphone off').waitFor();
  await bo.button('Turn camera off').waitFor();
});
