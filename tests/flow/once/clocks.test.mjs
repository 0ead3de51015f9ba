// Clocks that are wrong: the server's (tests/shims) in 1970 and 2100, while it runs and from its start, and those of clients.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from '../check.mjs';
import { Faults } from '../faults.mjs';
import { eventually, makeDataDir, run, startServer } from '../server.mjs';
import { Talker } from '../talker.mjs';

const YEAR_2100 = Date.UTC(2100, 0, 2);
const YEAR_1970 = Date.UTC(1970, 0, 2); // not the first second: no token is of 0
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

describe('the server\'s clock', () => {
  const faults = new Faults();
  const dataDir = makeDataDir();
  const env = { ...faults.env, PARLANCE_MESSAGES_RETENTION_EVERY_S: '1', PARLANCE_MESSAGES_KEEP_MAX_S: String(30 * 86400) };
  const said = [];
  let server; let ann; let bob; let wire; let hears; let id; let later;
  const start = async () => { server = await startServer({ dataDir, env }); };
  const say = async (text) => {
    const sent = await wire.ok('send_message', { conversation_id: id, client_msg_id: text, content: { text } });
    said.push(text);
    assert.equal(sent.seq, said.length);
    return sent.created_at_ms;
  };
  const mustBeAll = async (client) => {
    const { messages } = ok(await client.get(`/api/v1/conversations/${id}/messages?limit=200`));
    assert.deepEqual(messages.map((m) => m.content.text), said);
    assert.deepEqual(messages.map((m) => m.seq), said.map((_, i) => i + 1));
    return messages;
  };
  const nextStatus = async (status) => {
    await wire.ok('set_presence', { status });
    return hears.next('presence', (p) => p.presences.some((one) => one.status === status));
  };

  before(async () => {
    await start();
    [ann, bob] = [await server.register('ann'), await server.register('bob')];
    wire = await Talker.open(server, ann);
    hears = await Talker.open(server, bob);
    const sent = await wire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'first', content: { text: 'first' } });
    id = sent.conversation_id;
    said.push('first');
    await hears.ok('watch', { user_ids: [ann.user.id] });
    later = await wire.ok('send_message', { conversation_id: id, client_msg_id: 'later', content: { text: 'later' }, send_at_ms: Date.now() + 86400_000 });
    await eventually(() => server.log.length > 0);
    await pause(1200); // a turn of retention: the clock is believed
  });
  after(async () => {
    await server?.stop({ signal: 'SIGKILL' });
    faults.end();
    rmSync(dataDir, { recursive: true, force: true });
  });

  test('leaps to 2100: all stays, in order; what is to be sent by then is sent', async () => {
    const true1 = await say('before');
    assert.ok(Math.abs(true1 - Date.now()) < 60_000);
    faults.clock(YEAR_2100);
    assert.ok(await say('in 2100') > YEAR_2100 - 60_000);
    await nextStatus('busy');
    await eventually(async () => refused(await ann.get('/api/v1/users/me'), 'unauthenticated'));
    await eventually(() => server.log.some((l) => l.level === 'warn' && /the clock has leapt: it says 2100-01-02.*set it right now/.test(l.msg)), { ms: 5000 });
    await hears.next('change', (c) => c.message?.content?.text === 'later');
    said.push('later');
    await pause(1500); // retention has had its turn
    const then = server.client();
    await then.signIn('ann', 'ann-password');
    await mustBeAll(then);
    faults.clock();
    await eventually(async () => refused(await then.get('/api/v1/users/me'), 'unauthenticated')); // or it would count for 74 years
    await eventually(async () => ok(await ann.get('/api/v1/users/me')));
    assert.ok(Math.abs(await say('after') - Date.now()) < 60_000, 'one message of 2100 is not all messages');
    await nextStatus('online');
    await mustBeAll(ann);
    assert.ok(later.scheduled_id);
  });

  test('falls to 1970: order and times stand', async () => {
    const last = (await mustBeAll(ann)).at(-1).created_at_ms;
    faults.clock(YEAR_1970);
    assert.ok(await say('in 1970') >= last);
    await nextStatus('away');
    await eventually(async () => refused(await ann.get('/api/v1/users/me'), 'unauthenticated'));
    await wire.refused('send_message', { conversation_id: id, client_msg_id: 'never', content: { text: 'x' }, send_at_ms: Date.now() + 3600_000 }, 'invalid_argument');
    await pause(1200);
    faults.clock();
    assert.ok(Math.abs(await say('back') - Date.now()) < 60_000);
    await nextStatus('online');
    await eventually(() => mustBeAll(ann));
    await wire.close();
    await hears.close();
  });

  test('is wrong from the start: nothing is deleted', async () => {
    for (const time of [YEAR_2100, YEAR_1970]) {
      await server.stop({ keepData: true });
      faults.clock(time);
      await start();
      const then = server.client();
      await then.signIn('ann', 'ann-password');
      wire = await Talker.open(server, then);
      await say(`born in ${time}`);
      await eventually(() => server.log.some((l) => /the clock has leapt/.test(l.msg)));
      await pause(2200);
      await mustBeAll(then);
      await wire.close();
    }
    await server.stop({ keepData: true });
    faults.clock();
    await start();
    ann.base = server.url;
    ok(await ann.get('/api/v1/users/me')); // its sign-in was not swept away
    await mustBeAll(ann);
    await server.stop({ keepData: true });
    server = undefined;
    assert.match(run(['verify'], { dataDir }).stdout, /all is well/);
  });
});

describe('the clocks of clients', () => {
  let server; let ann; let bob;
  before(async () => {
    server = await startServer();
    [ann, bob] = [await server.register('ann'), await server.register('bob')];
  });
  after(() => server.stop());

  test('what is asked for in 1970 and 2100', async () => {
    for (const time of [YEAR_1970, YEAR_2100]) {
      refused(await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: `t${time}`, content: { text: 'x' }, send_at_ms: time }), 'invalid_argument');
      ok(await ann.get(`/api/v1/messages/search?query=x&from_ms=${time}&to_ms=${time + 1}`));
    }
    refused(await ann.put('/api/v1/presence/me', { status: 'busy', status_until_ms: YEAR_2100 }), 'invalid_argument');
  });

  test('a program whose machine is in another century', () => {
    const faults = new Faults();
    const token = { PARLANCE_CHAT_SERVER: server.url, PARLANCE_CHAT_TOKEN: ann.token };
    for (const time of [YEAR_1970, YEAR_2100]) {
      faults.clock(time);
      const done = run(['chat', 'list'], { env: { ...faults.env, ...token } });
      assert.equal(done.status, 0, done.stderr);
    }
    faults.end();
  });
});
