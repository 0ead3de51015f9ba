// What breaks: the socket of one, the server of all.
import assert from 'node:assert/strict';
import { house, scene, setUp } from './stage.mjs';

setUp();

scene('a cut socket: nobody sees the person leave, media goes on', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo', { isProxied: true });
  await bo.enter(link);
  await ada.receives('Bo');
  await bo.receives('Ada');

  const connections = await bo.page.evaluate(() => window.seen.connections.length);
  bo.proxy.cut();
  await bo.page.getByRole('alert').filter({ hasText: 'The connection broke' }).waitFor();
  // In both directions, while there is no socket.
  await ada.receives('Bo');
  await bo.receives('Ada');
  bo.proxy.mend();
  await bo.page.getByRole('alert').waitFor({ state: 'detached' });

  const joins = await bo.frames('room_joined');
  assert.deepEqual(joins.map((f) => f.is_resumed ?? false), [false, true]);
  assert.equal(joins[1].session_id, joins[0].session_id);
  assert.equal(await bo.page.evaluate(() => window.seen.connections.length), connections, 'no new peer connection');
  assert.deepEqual(await ada.frames('participant_left'), []);
  assert.deepEqual(await ada.frames('track_unpublished'), []);
  assert.equal((await ada.frames('participant_joined')).length, 1);

  // The new socket carries what happens now, both ways.
  await bo.button('Raise hand').click();
  await ada.tile('Bo').locator('.hand-badge').waitFor();
  await ada.button('Turn microphone off').click();
  await bo.tile('Ada').getByRole('img', { name: 'Microphone off' }).waitFor();
  await ada.receives('Bo');
});

scene('the server restarts: all come back by themselves', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  const cleo = await stage.person('Cleo');
  await cleo.enter(link);
  const people = [ada, bo, cleo];
  const others = (person) => people.filter((p) => p !== person).map((p) => p.name);
  for (const person of people) await person.receives(others(person));

  await house().restartServer({
    whileDown: () => Promise.all(people.map((p) => p.page.getByRole('alert').filter({ hasText: 'The connection broke' }).waitFor())),
  });
  // First all of them, so that what is counted afterwards came over the new connections.
  for (const person of people) await person.page.getByRole('alert').waitFor({ state: 'detached' });
  for (const person of people) await person.receives(others(person));
  for (const person of people) {
    assert.equal(await person.page.locator('.tile').count(), people.length);
    assert.equal((await person.frames('room_joined')).at(-1).is_resumed ?? false, false);
  }
});
