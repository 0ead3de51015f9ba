// Offline push: the operator's server is told who should hear of a message and is not here; nobody else is told anything.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ok } from './check.mjs';
import { eventually, run, startServer } from './server.mjs';
import { Receiver } from './receiver.mjs';
import { Talker } from './talker.mjs';

const secret = 'a secret of the push server, long enough';
let receiver; let server; let root; let ann; let bob; let carol; let count = 0;

const settle = () => new Promise((resolve) => { setTimeout(resolve, 300); });
const say = async (client, id, text, more = {}) => ok(await client.post('/api/v1/messages',
  { conversation_id: id, client_msg_id: `m${count += 1}`, content: { text, ...more } }));

async function told(n) {
  await eventually(() => receiver.calls.length >= n);
  return receiver.calls.slice(0, n).map(({ headers, body }) => {
    const [, time, signature] = headers['x-parlance-signature'].match(/^t=(\d+),v1=(\w+)$/);
    assert.equal(createHmac('sha256', secret).update(`${time}.${body}`).digest('hex'), signature);
    assert.equal(headers['x-parlance-event'], 'push.wanted');
    return JSON.parse(body);
  });
}

before(async () => {
  receiver = await Receiver.start();
  server = await startServer({ env: { PARLANCE_PUSH_URL: receiver.url, PARLANCE_PUSH_SECRET: secret } });
  root = await server.register('root');
  ann = await server.register('ann', { nickname: 'Ann' });
  bob = await server.register('bob');
  carol = await server.register('carol');
});
after(async () => {
  await receiver?.stop();
  await server?.stop();
});

test('who has no socket is named, without what was said', async () => {
  const { conversation_id: id } = ok(await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'd', content: { text: 'between us' } }));
  const [push] = await told(1);
  assert.deepEqual([push.conversation_id, push.seq, push.sender_id, push.sender_name, push.kind, push.text, push.user_ids],
    [id, 1, ann.user.id, 'Ann', 'text', '', [bob.user.id]]);
  assert.ok(!receiver.calls[0].body.includes('between us'));
});

test('who is here, has read it, or wants quiet is not', async () => {
  const { id } = ok(await ann.post('/api/v1/groups', { kind: 'group', title: 'Three', user_ids: [bob.user.id, carol.user.id] }), 201);
  const device = await Talker.open(server, bob);
  await eventually(async () => ok(await ann.get(`/api/v1/presence/${bob.user.id}/online`)).is_online);
  receiver.calls = [];
  await say(ann, id, 'one', { mentions: [carol.user.id] });
  let [push] = await told(1);
  assert.deepEqual([push.user_ids, push.mentioned_user_ids, push.conversation_title], [[carol.user.id], [carol.user.id], 'Three']);
  ok(await carol.put(`/api/v1/conversations/${id}/own`, { quiet_until_ms: -1 }));
  await say(ann, id, 'two');
  await settle();
  assert.equal(receiver.calls.length, 1, 'one is here, the other wants quiet');
  await device.close();
  ok(await carol.put(`/api/v1/conversations/${id}/own`, { quiet_until_ms: 0 }));
  await eventually(async () => {
    receiver.calls = [];
    await say(ann, id, 'three');
    [push] = await told(1);
    assert.deepEqual([...push.user_ids].sort(), [bob.user.id, carol.user.id].sort());
  }, { ms: 10_000, every: 500 });
});

test('a bot wakes nobody of its own kind, nor does a meeting\'s chat', async () => {
  const bot = ok(await ann.post('/api/v1/bots', { username: 'deaf.bot' }), 201);
  const { id } = ok(await ann.post('/api/v1/groups', { kind: 'group', title: 'With a bot', user_ids: [bot.id] }), 201);
  receiver.calls = [];
  await say(ann, id, 'anybody?');
  await settle();
  assert.deepEqual(receiver.calls, []);
});

test('who is disabled stays a member, and is told nothing', async () => {
  const dan = await server.register('dan');
  const { id } = ok(await ann.post('/api/v1/groups', { kind: 'group', title: 'One is out', user_ids: [dan.user.id, carol.user.id] }), 201);
  ok(await root.put(`/api/v1/users/${dan.user.id}`, { is_disabled: true }));
  receiver.calls = [];
  await say(ann, id, 'who hears?');
  assert.deepEqual((await told(1))[0].user_ids, [carol.user.id]);
});

test('what could not be told is told later; what was recalled is not', async () => {
  const { id } = ok(await ann.post('/api/v1/groups', { kind: 'group', title: 'Later', user_ids: [carol.user.id] }), 201);
  receiver.calls = [];
  receiver.answers = [503, 503];
  const { seq } = await say(ann, id, 'kept');
  await say(ann, id, 'kept, too');
  await eventually(() => receiver.calls.length >= 2);
  ok(await ann.delete(`/api/v1/conversations/${id}/messages/${seq}`));
  const calls = await told(3);
  assert.notEqual(calls[2].seq, seq);
  await settle();
  assert.equal(receiver.calls.length, 3);
});

test('the text goes along where the operator says so', async () => {
  const other = await startServer({ env: { PARLANCE_PUSH_URL: receiver.url, PARLANCE_PUSH_SECRET: secret, PARLANCE_PUSH_HAS_TEXT: 'true' } });
  const one = await other.register('one');
  const two = await other.register('two');
  receiver.calls = [];
  ok(await one.post('/api/v1/messages', { to_user_id: two.user.id, client_msg_id: 'd', content: { text: '中'.repeat(300) } }));
  const [push] = await told(1);
  assert.equal(push.text, '中'.repeat(133));
  await other.stop();
});

test('a server to push to needs a secret', () => {
  const { status, stderr } = run(['check-config'], { env: { PARLANCE_PUSH_URL: 'https://push.example.org/' } });
  assert.notEqual(status, 0);
  assert.match(stderr, /push\.secret/);
});
