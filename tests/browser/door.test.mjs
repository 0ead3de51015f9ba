// Who comes in: guests by link, the waiting room, a password, a lock.
import assert from 'node:assert/strict';
import { scene, setUp } from './stage.mjs';

setUp();

scene('a guest comes in by the link alone, and is one to everybody', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const guest = await stage.person('Gus');
  await guest.open(link);
  // Without a name nobody comes in; the name is remembered for the next time.
  await guest.page.locator('.join-btn').click();
  await guest.page.getByText('Tell the others who you are.').waitFor();
  await guest.join();
  await guest.receives('Ada');
  await ada.receives('Gus');
  await ada.openPeople();
  assert.match(await ada.personRow('Gus').innerText(), /Guest/);
  // The host's controls are not a guest's.
  await guest.openPeople();
  assert.equal(await guest.button('Lock').count(), 0);
  await guest.personRow('Ada').getByRole('button', { name: 'More about Ada' }).click();
  assert.equal(await guest.page.getByRole('menuitem', { name: 'Remove from meeting' }).count(), 0);
  await guest.page.keyboard.press('Escape');
  await guest.button('Leave').click();
  await guest.page.getByRole('heading', { name: 'You left the meeting' }).waitFor();
  await ada.tile('Gus').waitFor({ state: 'detached' });
  await guest.button('Rejoin').click();
  assert.equal(await guest.page.locator('input[name=name]').inputValue(), 'Gus');
  await guest.join();
  await ada.receives('Gus');
});

scene('the waiting room: one is let in, one is turned away', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  await ada.hostControl('Waiting room');
  const bo = await stage.person('Bo');
  await bo.open(link);
  await bo.clickJoin();
  await bo.page.getByRole('heading', { name: 'You are in the waiting room' }).waitFor();
  await ada.page.getByText('Bo waits to be let in').first().waitFor();
  // Nothing of the meeting is told to who waits: neither frames of the room nor a connection.
  assert.deepEqual(await bo.frames('room_joined'), []);
  await ada.button('Let in').click();
  await bo.isInside();
  await bo.receives('Ada');
  await ada.receives('Bo');

  const cleo = await stage.person('Cleo');
  await cleo.open(link);
  await cleo.clickJoin();
  await cleo.page.getByRole('heading', { name: 'You are in the waiting room' }).waitFor();
  await ada.openPeople();
  await ada.button('Turn Cleo away').click();
  await cleo.page.getByRole('heading', { name: 'You were not let in' }).waitFor();
  assert.equal(await ada.tile('Cleo').count(), 0);
  assert.equal((await bo.frames('participant_joined')).length, 0, 'who was turned away was never there');
});

scene('a password is asked of newcomers, and a lock keeps them out', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  await ada.openControls();
  await ada.page.getByLabel('Meeting password').fill('open sesame');
  await ada.button('Save').click();
  await ada.page.getByText('Password set').waitFor();
  await ada.page.keyboard.press('Escape');

  const bo = await stage.person('Bo');
  await bo.open(link);
  await bo.page.fill('input[name=name]', 'Bo');
  await bo.page.fill('input[name=meeting-password]', 'open barley');
  await bo.page.locator('.join-btn').click();
  await bo.page.getByText('This is not the meeting’s password.').waitFor();
  await bo.page.fill('input[name=meeting-password]', 'open sesame');
  await bo.page.locator('.join-btn').click();
  await bo.isInside();

  await ada.openPeople();
  await ada.button('Lock').click();
  await ada.button('Unlock').waitFor();
  const cleo = await stage.person('Cleo');
  await cleo.open(link);
  await cleo.page.getByText('The host has locked the meeting.').first().waitFor();
  await cleo.page.fill('input[name=name]', 'Cleo');
  await cleo.page.fill('input[name=meeting-password]', 'open sesame');
  await cleo.page.locator('.join-btn').click();
  await cleo.page.getByRole('alert').waitFor();
  assert.equal(await ada.tile('Cleo').count(), 0);
  await ada.button('Unlock').click();
  await ada.button('Lock').waitFor();
  await cleo.page.locator('.join-btn').click();
  await cleo.isInside();
  await ada.tile('Cleo').waitFor();
});
