// What the browser keeps of the messages: read without a connection, sent after a reload, gone with the sign-out.
import assert from 'node:assert/strict';
import { chatter } from './chatter.mjs';
import { scene, setUp } from './stage.mjs';

setUp();

async function pair(stage, texts = ['first']) {
  const ada = chatter(await stage.account('Ada', { isProxied: true }));
  const bo = chatter(await stage.account('Bo'));
  const { id: to_user_id } = await bo.api('/users/me');
  let path;
  for (const text of texts) {
    const sent = await ada.api('/messages', { method: 'POST', json: { to_user_id, client_msg_id: `k ${text}`, content: { kind: 'text', text } } });
    path = `/c/${sent.conversation_id}`;
  }
  return { ada, bo, path };
}

// What the database holds of a store, by key.
const kept = (page, store) => page.evaluate((name) => new Promise((resolve, reject) => {
  const open = indexedDB.open('parlance');
  open.onerror = () => reject(open.error);
  open.onsuccess = () => {
    const db = open.result;
    if (!db.objectStoreNames.contains(name)) return resolve((db.close(), []));
    const all = db.transaction(name).objectStore(name).getAll();
    all.onsuccess = () => resolve((db.close(), all.result));
    return undefined;
  };
}), store);

async function isKept(one, text) {
  await one.until(async () => {
    const threads = await kept(one.page, 'threads');
    if (!threads.some((t) => t.messages.some((m) => m.content?.text === text))) throw new Error(`${text} is not kept yet`);
  });
}

scene('without connection the pages open, can be read, and take what is written', async (stage) => {
  const { ada, bo, path } = await pair(stage, ['first', 'second']);
  await ada.open(path);
  await ada.sees('second');
  await isKept(ada, 'second');
  await ada.page.evaluate(() => navigator.serviceWorker.ready);
  ada.person.proxy.cut();
  await ada.page.goto(ada.person.base + path);
  await ada.sees('second');
  await ada.page.locator('.conv', { hasText: 'Bo' }).waitFor();
  await ada.say('written in a tunnel');
  await ada.page.locator('.msg-bubble.is-pending', { hasText: 'tunnel' }).waitFor();
  await ada.page.reload();
  await ada.page.locator('.msg-bubble.is-pending', { hasText: 'tunnel' }).waitFor();
  await bo.open(path);
  await bo.say('said meanwhile');
  await bo.sees('said meanwhile');
  ada.person.proxy.mend();
  await ada.page.evaluate(() => dispatchEvent(new Event('online')));
  await bo.sees('written in a tunnel');
  const said = ['first', 'second', 'said meanwhile', 'written in a tunnel'];
  await ada.until(async () => assert.deepEqual(await ada.texts(), said));
  await bo.until(async () => assert.deepEqual(await bo.texts(), said));
});

scene('a message that is refused says why and is kept until one decides', async (stage) => {
  const { ada, bo, path } = await pair(stage);
  await ada.open(path);
  const { id } = await ada.api('/users/me');
  await bo.api(`/contacts/${id}`, { method: 'PUT', json: { is_blocked: true } });
  await ada.say('not wanted');
  const failure = ada.page.locator('.msg-failure');
  await failure.waitFor();
  assert.ok((await failure.innerText()).length > 5);
  await ada.page.reload();
  await failure.waitFor();
  await failure.getByRole('button', { name: 'Discard message' }).click();
  await ada.page.locator('.msg', { hasText: 'not wanted' }).waitFor({ state: 'detached' });
  await ada.page.reload();
  await ada.sees('first');
  assert.equal(await ada.page.locator('.msg', { hasText: 'not wanted' }).count(), 0);
});

scene('signing out takes everything kept with it, in every tab', async (stage) => {
  const { ada, path } = await pair(stage);
  await ada.open(path);
  await isKept(ada, 'first');
  const other = await ada.page.context().newPage();
  await other.goto(ada.person.base + path);
  await other.locator('.msg').first().waitFor();
  await ada.page.locator('.rail-me button').click();
  await ada.page.getByRole('menuitem', { name: 'Sign out' }).click();
  await ada.page.waitForURL(/\/login/);
  await other.waitForURL(/\/login/);
  await ada.until(async () => {
    for (const store of ['facts', 'conversations', 'threads', 'people']) assert.deepEqual(await kept(ada.page, store), [], store);
  });
  const left = await ada.page.evaluate(() => Object.keys(localStorage).filter((k) => /account|unsent|draft/.test(k)));
  assert.deepEqual(left, []);
});

scene('a server with another past: what is kept of the old one is dropped', async (stage) => {
  const { ada, path } = await pair(stage, ['first', 'second']);
  await ada.open(path);
  await isKept(ada, 'second');
  // As if the log had been set back: the cursor is of another life, and what is kept says more than the server has.
  await ada.page.goto('about:blank');
  await ada.page.goto(`${ada.person.base}/favicon.svg`);
  await ada.page.evaluate(() => new Promise((resolve) => {
    const open = indexedDB.open('parlance');
    open.onsuccess = () => {
      const tx = open.result.transaction(['facts', 'threads'], 'readwrite');
      tx.objectStore('facts').put('of another life', 'cursor');
      const threads = tx.objectStore('threads');
      threads.getAll().onsuccess = (e) => e.target.result.forEach((t) => {
        const last = t.messages.at(-1);
        threads.put({ ...t, rev: t.rev + 1, messages: [...t.messages, { ...last, seq: last.seq + 1, client_msg_id: 'x', content: { kind: 'text', text: 'never was' } }] });
      });
      tx.oncomplete = () => resolve(open.result.close());
    };
  }));
  await ada.open(path);
  await ada.sees('second');
  await ada.until(async () => assert.deepEqual(await ada.texts(), ['first', 'second']));
  await ada.until(async () => assert.ok(!JSON.stringify(await kept(ada.page, 'threads')).includes('never was')));
});
