// `parlance copy-store`: some thousand messages with all that hangs on them, from each engine to each other and back. The
// copy is whole, answers as the source did, and goes on where it ended. A target with something in it is refused.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Missing, databaseIn, startService } from '../../services/services.mjs';
import { eventually, makeDataDir, run, startServer } from '../server.mjs';

const MESSAGES = Number(process.env.COPY_MESSAGES ?? 1000); // by hand with some thousand
const engines = { sqlite: null };
for (const name of ['postgres', 'mysql']) {
  try {
    engines[name] = await startService(name);
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    console.error(`skipped: no ${name} server: ${problem.message}`);
  }
}
let databases = 0;

// An empty database: its URL for copy-store, and how a server is told to use it (with a data directory).
function makeDatabase(engine) {
  const dataDir = makeDataDir();
  const name = `copy${++databases}`;
  if (engine !== 'sqlite') {
    const url = databaseIn(engine, engines[engine], name);
    return { dataDir, url, env: { PARLANCE_STORE_DRIVER: engine, PARLANCE_STORE_URL: url } };
  }
  mkdirSync(`${dataDir}/store`, { mode: 0o700 });
  return { dataDir, url: `sqlite:${dataDir}/store/parlance.db`, env: {} };
}

const copy = (from, to) => run(['copy-store', '--from', from.url, '--to', to.url], {});
const verify = (at) => run(['verify'], { dataDir: at.dataDir, env: at.env });

describe('copy-store', () => {
  const made = [];
  let first, ann, bob, conversation;

  function make(engine) {
    const one = makeDatabase(engine);
    made.push(one);
    return one;
  }

  const search = async (client, query) => (await client.get(`/api/v1/messages/search?query=${encodeURIComponent(query)}`)).body.messages.length;

  before(async () => {
    first = make('sqlite');
    const server = await startServer(first);
    [ann, bob] = [await server.register('ann', { password: 'a long password' }), await server.register('bob')];
    const send = (n, text) => ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: `key-${n}`, content: { text } });
    for (let n = 0; n < MESSAGES; n += 50)
      await Promise.all(Array.from({ length: 50 }, (_, i) => send(n + i, `message ${n + i} 你好 Grüße \u{1f600} it's "quoted" \\ and a%b_c`)));
    const one = (await send('last', 'the very last')).body;
    conversation = one.message?.conversation_id ?? one.conversation_id;
    const path = `/api/v1/conversations/${conversation}/messages/5`;
    await bob.put(`${path}/reactions/${encodeURIComponent('👍')}`);
    await ann.put(`${path}`, { content: { text: 'changed' } });
    await eventually(async () => assert.equal(await search(ann, 'very last'), 1), { ms: 20_000 });
    await server.stop({ keepData: true });
    const verdict = verify(first);
    assert.equal(verdict.status, 0, verdict.stderr);
  });

  after(async () => {
    for (const one of made) rmSync(one.dataDir, { recursive: true, force: true });
    for (const service of Object.values(engines)) await service?.stop();
  });

  const sources = { sqlite: () => first };
  for (const from of Object.keys(engines)) {
    for (const to of Object.keys(engines)) {
      test(`from ${from} to ${to}`, () => {
        const target = make(to);
        const done = copy(sources[from](), target);
        assert.equal(done.status, 0, done.stderr);
        assert.match(done.stdout, new RegExp(`${MESSAGES + 1} messages, .*all is well`));
        assert.match(done.stderr, new RegExp(`copying message_messages: ${MESSAGES + 1} of ${MESSAGES + 1} rows`));
        const verdict = verify(target);
        assert.equal(verdict.status, 0, verdict.stderr);
        sources[to] ??= () => target; // the next goes on from this copy
        const again = copy(sources[from](), target);
        assert.equal(again.status, 1);
        assert.match(again.stderr, /--to: there is something in it/);
      });
    }
  }

  test('a copy of a copy of a copy answers as the first did', async () => {
    const end = make('sqlite');
    const last = Object.keys(engines).at(-1);
    assert.equal(copy(sources[last](), end).status, 0);
    for (const one of [sources[last](), end]) {
      const server = await startServer(one);
      const client = server.client();
      client.take((await client.post('/api/v1/auth/login', { login: 'ann', password: 'a long password' })).body);
      assert.equal(await search(client, 'very last'), 1);
      assert.ok(await search(client, '你好') >= 20);
      const page = (await client.get(`/api/v1/conversations/${conversation}/messages?limit=100&before_seq=100`)).body.messages;
      assert.equal(page.length, 99);
      assert.ok(page.some((m) => m.content.text === `message 6 你好 Grüße \u{1f600} it's "quoted" \\ and a%b_c` || m.content.text.includes('你好')));
      const next = await client.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'after', content: { text: 'goes on' } });
      assert.equal(next.status, 200, next.text);
      const doubled = await client.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'key-7', content: { text: 'again' } });
      assert.notEqual(doubled.body.message?.content?.text, 'again');
      await server.stop({ keepData: true });
      assert.equal(verify(one).status, 0);
    }
  });

  test('what is no address, and what has nothing in it, is refused', () => {
    const empty = make('sqlite');
    assert.match(copy({ url: 'nonsense' }, empty).stderr, /--from: expected sqlite:PATH/);
    assert.match(copy(empty, make('sqlite')).stderr, /--from: there is nothing in it/);
    assert.equal(run(['copy-store', '--from', first.url]).status, 2);
  });
});
