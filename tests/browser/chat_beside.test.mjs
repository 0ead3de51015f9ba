// The chat beside a meeting: with accounts and a guest; it is told of when it is shut, and stays when the meeting is over.
import assert from 'node:assert/strict';
import { chatter } from './chatter.mjs';
import { scene, setUp } from './stage.mjs';

setUp();

const chatButton = (person) => person.page.locator('.bar').getByRole('button', { name: /^Chat/ });

async function openChat(person) {
  await chatButton(person).click();
  await person.page.locator('.chat-beside .composer textarea').waitFor();
}

scene('a host and a guest talk beside their meeting', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const gus = await stage.person('Gus');
  await gus.enter(link);
  await openChat(gus);
  const [host, guest] = [chatter(ada), chatter(gus)];
  await guest.say('Can you hear me?');
  await guest.sees('Can you hear me?');
  // The host's is shut: the button tells.
  await ada.page.locator('.bar').getByRole('button', { name: 'Chat, 1 unread message' }).waitFor();
  await ada.page.keyboard.press('c');
  await host.sees('Can you hear me?');
  assert.match(await host.bubble('Can you hear me?').locator('.msg-name').innerText(), /Gus/);
  await ada.page.locator('.bar').getByRole('button', { name: 'Chat', exact: true }).waitFor();
  await host.say('**Loud** and clear');
  await guest.sees('Loud and clear');
  assert.match(await guest.bubble('Loud and clear').locator('.msg-name').innerText(), /Ada/);
  // Room for one panel at a time.
  await ada.page.locator('.bar-side').getByRole('button', { name: /^People/ }).click();
  await ada.page.locator('.chat-beside').waitFor({ state: 'detached' });

  await ada.button('Leave').click();
  await ada.page.getByRole('dialog').getByRole('button', { name: /End.*all/ }).click();
  await ada.page.getByRole('link', { name: 'Chat of this meeting' }).click();
  await host.sees('Can you hear me?');
  await host.sees('Loud and clear');
  await ada.page.goto(`${ada.base}/c`);
  await ada.page.locator('.conv', { hasText: 'Loud and clear' }).waitFor();
});
