// What a host does with others, and how it looks from their side.
import assert from 'node:assert/strict';
import { eventually } from '../flow/server.mjs';
import { PATIENCE_MS, scene, setUp } from './stage.mjs';

setUp();

async function three(stage) {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  const cleo = await stage.person('Cleo');
  await cleo.enter(link);
  return { ada, bo, cleo, link };
}

// Of this source nothing comes any more, while another goes on.
async function fallsSilent(person, key, otherKey) {
  let last = await person.received();
  const packetsOf = (counters, k) => counters.get(k)?.packets ?? 0;
  await eventually(async () => {
    const now = await person.received();
    const isStill = packetsOf(now, key) === packetsOf(last, key);
    const isOtherHeard = packetsOf(now, otherKey) >= packetsOf(last, otherKey) + 10;
    last = now;
    return isStill && isOtherHeard;
  }, { ms: PATIENCE_MS, every: 700 });
}

scene('a host turns a microphone off; its owner may turn it on again', async (stage) => {
  const { ada, bo, cleo } = await three(stage);
  await cleo.receives(['Ada', 'Bo']);
  await ada.pick('Bo', 'Turn microphone off');
  await bo.page.getByText('Ada turned your microphone off.').waitFor();
  for (const person of [ada, cleo]) await person.tile('Bo').getByRole('img', { name: 'Microphone off' }).waitFor();
  await fallsSilent(cleo, 'Bo microphone', 'Ada microphone');
  await bo.button('Turn microphone on').first().click();
  await cleo.receives('Bo');
  await cleo.tile('Bo').getByRole('img', { name: 'Microphone off' }).waitFor({ state: 'detached' });

  await ada.openPeople();
  await ada.button('Mute all').click();
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Mute all' }).click();
  for (const other of ['Bo', 'Cleo']) await ada.tile(other).getByRole('img', { name: 'Microphone off' }).waitFor();
  await bo.receives('Ada');
});

scene('a host hands the meeting over, and is then removed from it', async (stage) => {
  const { ada, bo, cleo, link } = await three(stage);
  await ada.openPeople();
  await ada.pick('Bo', 'Make host', { isConfirmed: true });
  await bo.openPeople();
  await bo.button('Lock').waitFor();
  assert.match(await bo.personRow('Bo').innerText(), /Host/);
  await ada.personRow('Ada').getByText('Co-host').waitFor();

  await bo.pick('Cleo', 'Remove from meeting', { isConfirmed: true });
  await cleo.page.getByRole('heading', { name: 'You were removed from the meeting' }).waitFor();
  await ada.tile('Cleo').waitFor({ state: 'detached' });
  await bo.pick('Ada', 'Remove from meeting', { isConfirmed: true });
  await ada.page.getByRole('heading', { name: 'You were removed from the meeting' }).waitFor();
  // Out is out: the link does not lead back in.
  await ada.open(link);
  await ada.page.locator('.join-btn').click();
  await ada.page.getByRole('alert').waitFor();
  assert.equal(await bo.tile('Ada').count(), 0);
});

scene('a host ends the meeting for all', async (stage) => {
  const { ada, bo, cleo, link } = await three(stage);
  await ada.button('Leave').click();
  await ada.button('End for all').click();
  for (const person of [bo, cleo]) await person.page.getByRole('heading', { name: 'The meeting is over' }).waitFor();
  await bo.page.goto(link);
  await bo.page.getByText('This meeting is over.').waitFor();
});
