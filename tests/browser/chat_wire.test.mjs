// The connection under the messages: gone and back, several tabs, the server begun anew. Nothing is lost, nothing doubled.
import assert from 'node:assert/strict';
import { Chatter, chatter } from './chatter.mjs';
import { house, scene, setUp } from './stage.mjs';

setUp();

async function pair(stage) {
  const ada = chatter(await stage.account('Ada', { isProxied: true }));
  const bo = chatter(await stage.account('Bo'));
  const { id: to_user_id } = await bo.api('/users/me');
  const { conversation_id } = await ada.api('/messages', { method: 'POST', json: { to_user_id, client_msg_id: 'first', content: { kind: 'text', text: 'first' } } });
  return { ada, bo, path: `/c/${conversation_id}` };
}

scene('what is written without connection is sent once, in its order, when it is back', async (stage) => {
  const { ada, bo, path } = await pair(stage);
  await ada.open(path);
  await bo.open(path);
  await ada.sees('first');
  ada.person.proxy.cut();
  for (const text of ['one', 'two', 'three']) await ada.say(text);
  assert.equal(await ada.page.locator('.msg-bubble.is-pending').count(), 3);
  await ada.page.locator('.chat-cut').waitFor();
  await bo.say('meanwhile');
  await bo.sees('meanwhile');
  ada.person.proxy.mend();
  await ada.page.evaluate(() => dispatchEvent(new Event('online')));
  await bo.sees('three');
  await ada.sees('meanwhile');
  await ada.page.locator('.msg-bubble.is-pending').waitFor({ state: 'detached' });
  const said = ['first', 'meanwhile', 'one', 'two', 'three'];
  await ada.until(async () => assert.deepEqual(await ada.texts(), said));
  await bo.until(async () => assert.deepEqual(await bo.texts(), said));
});

scene('two tabs, one socket: both hear everything, and either may go', async (stage) => {
  const { ada, bo, path } = await pair(stage);
  const { proxy } = ada.person;
  await ada.open(path);
  const other = new Chatter(ada.person, await ada.page.context().newPage());
  await other.open(path);
  await bo.open(path);
  for (const tab of [ada, other]) await tab.sees('first');
  assert.equal(proxy.open('/ws/im'), 1);
  await other.say('from the other tab');
  for (const tab of [ada, other, bo]) await tab.sees('from the other tab');
  // The tab that began the socket goes, while the other has something to say.
  await Promise.all([ada.page.close(), other.say('as the first one closes')]);
  await bo.say('to whoever is left');
  await other.sees('to whoever is left');
  await bo.sees('as the first one closes');
  assert.equal(proxy.open('/ws/im'), 1);
  const said = ['first', 'from the other tab', 'as the first one closes', 'to whoever is left'];
  await other.until(async () => assert.deepEqual((await other.texts()).sort(), said.sort()));
  // Broken and back under both.
  const third = new Chatter(ada.person, await other.page.context().newPage());
  await third.open(path);
  proxy.cut();
  await third.say('while it is cut');
  proxy.mend();
  await third.page.evaluate(() => dispatchEvent(new Event('online')));
  for (const tab of [other, third, bo]) await tab.sees('while it is cut');
  assert.equal(proxy.open('/ws/im'), 1);
  ada.person.page = third.page; // whom the end of the scene asks
});
