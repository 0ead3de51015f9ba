// Webhooks in both directions, on a real server with a real receiver; and where they may not go.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { shape } from './deployment.mjs';
import { Client, eventually, startServer } from './server.mjs';
import { Receiver } from './receiver.mjs';
import { Talker } from './talker.mjs';

let server; let root; let ann; let bob; let receiver; let count = 0;

const make = (client, more, status = 201) => client.post('/api/v1/webhooks', { name: 'A hook', ...more }).then((r) => ok(r, status));
const group = async (owner, ...others) => ok(await owner.post('/api/v1/groups', { kind: 'group', title: `Group ${count += 1}`, user_ids: others.map((o) => o.user.id) }), 201).id;
const say = async (client, id, text, more = {}) => ok(await client.post('/api/v1/messages', { conversation_id: id, client_msg_id: `m${count += 1}`, content: { text }, ...more }));
const messages = async (client, id) => ok(await client.get(`/api/v1/conversations/${id}/messages`)).messages;
const allDelivered = () => eventually(async () => {
  const { queues } = ok(await root.get('/api/v1/tasks/queues'));
  const { ready, waiting, running } = queues.find((one) => one.name === 'webhooks') ?? { ready: 0, waiting: 0, running: 0 };
  return ready + waiting + running === 0;
});
const post = (url, body, headers) => new Client(server.url).post(url, body, { headers });

before(async () => {
  server = await startServer({ env: { PARLANCE_WEBHOOKS_ALLOWED_ADDRESSES: '127.0.0.1' } });
  root = await server.register('root');
  ann = await server.register('ann');
  bob = await server.register('bob');
  receiver = await Receiver.start();
});
after(async () => {
  await receiver?.stop();
  await server?.stop();
});

describe('an incoming webhook', () => {
  let id; let hook;
  before(async () => {
    id = await group(ann, bob);
    hook = await make(ann, { conversation_id: id, name: 'Builds' });
  });

  test('writes into its conversation, as a bot of its own', async () => {
    assert.match(hook.url, new RegExp(`^/api/v1/hooks/${hook.id}/[A-Za-z0-9_-]{43}$`));
    const device = await Talker.open(server, bob);
    const { seq } = ok(await post(hook.url, { text: 'green **again**' }));
    const { message } = await device.next('change', (c) => c.type === 'message' && c.message.seq === seq);
    assert.deepEqual([message.sender_id, message.content.text], [hook.bot_id, 'green **again**']);
    const speaker = ok(await bob.get(`/api/v1/users/${hook.bot_id}`));
    assert.deepEqual([speaker.nickname, speaker.is_bot, speaker.owner_id], ['Builds', true, id]);
    await device.close();
  });

  test('says the same thing once', async () => {
    const key = { 'idempotency-key': 'build-17' };
    const first = ok(await post(hook.url, { text: 'build 17' }, key));
    const again = ok(await post(hook.url, { text: 'build 17' }, key));
    assert.deepEqual([again.seq, again.is_duplicate], [first.seq, true]);
    refused(await post(hook.url, { text: 'another' }, key), 'already_exists');
    assert.equal((await messages(bob, id)).filter((m) => m.content.text === 'build 17').length, 1);
  });

  test('answers whoever does not know its secret as if it were not there', async () => {
    const wrong = hook.url.replace(/.{4}$/, (end) => (end === 'AAAA' ? 'BBBB' : 'AAAA'));
    for (const url of [wrong, `/api/v1/hooks/${hook.id}/x`, `/api/v1/hooks/${bob.user.id}/${'a'.repeat(43)}`, '/api/v1/hooks/x/y'])
      refused(await post(url, { text: 'hello' }), 'not_found');
    assert.equal(ok(await ann.get(`/api/v1/webhooks?conversation_id=${id}`)).webhooks[0].url, '');
    refused(await post(hook.url, { text: '' }), 'invalid_argument');
    refused(await post(hook.url, { text: 'x'.repeat(20000) }), 'invalid_argument');
    refused(await post(hook.url, { text: 'x', sender_id: bob.user.id }), 'invalid_argument');
  });

  test('is made, seen and ended by admins alone', async () => {
    refused(await bob.post('/api/v1/webhooks', { name: 'x', conversation_id: id }), 'permission_denied');
    refused(await bob.get(`/api/v1/webhooks?conversation_id=${id}`), 'permission_denied');
    refused(await root.post('/api/v1/webhooks', { name: 'x', conversation_id: id }), 'not_found');
    refused(await bob.delete(`/api/v1/webhooks/${hook.id}`), 'permission_denied');
    const { conversation_id: direct } = ok(await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'd', content: { text: 'x' } }));
    refused(await ann.post('/api/v1/webhooks', { name: 'x', conversation_id: direct }), 'permission_denied');
  });

  test('says about a message a second', async () => {
    const own = await make(ann, { conversation_id: await group(ann) });
    const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => post(own.url, { text: `no. ${i}` })));
    const said = replies.filter((r) => r.status === 200).length;
    assert.ok(said >= 29 && said <= 36, `${said}`);
    const late = replies.find((r) => r.status !== 200);
    refused(late, 'resource_exhausted');
    assert.ok(Number(late.headers.get('retry-after')) >= 1);
  });

  test('is silent when its maker is no admin any more, and when it has ended', async () => {
    const place = await group(ann, bob);
    ok(await ann.put(`/api/v1/groups/${place}/members/${bob.user.id}`, { role: 'admin' }));
    const bobs = await make(bob, { conversation_id: place });
    ok(await post(bobs.url, { text: 'hello' }));
    ok(await ann.put(`/api/v1/groups/${place}/members/${bob.user.id}`, { role: 'member' }));
    refused(await post(bobs.url, { text: 'hello' }), 'not_found');
    const anns = await make(ann, { conversation_id: place });
    ok(await ann.delete(`/api/v1/webhooks/${anns.id}`));
    refused(await post(anns.url, { text: 'hello' }), 'not_found');
    assert.equal(ok(await ann.get(`/api/v1/users/${anns.bot_id}`)).is_disabled, true);
    ok(await ann.delete(`/api/v1/groups/${place}`));
  });
});

test('webhooks of an account that is disabled neither write nor tell, until it is enabled again', async () => {
  const place = await group(ann);
  const dora = await server.register('dora');
  ok(await ann.post(`/api/v1/groups/${place}/members`, { user_ids: [dora.user.id] }));
  ok(await ann.put(`/api/v1/groups/${place}/members/${dora.user.id}`, { role: 'admin' }));
  const incoming = await make(dora, { conversation_id: place });
  const outgoing = await make(dora, { kind: 'outgoing', conversation_id: place, url: receiver.url, events: ['message'] });
  receiver.calls = [];
  await say(ann, place, 'heard');
  await receiver.told(1, outgoing.secret);
  ok(await root.put(`/api/v1/users/${dora.user.id}`, { is_disabled: true }));
  refused(await post(incoming.url, { text: 'hello' }), 'not_found');
  await say(ann, place, 'not heard');
  await allDelivered(); // whether it may be told is asked when it is delivered
  ok(await root.put(`/api/v1/users/${dora.user.id}`, { is_disabled: false }));
  ok(await post(incoming.url, { text: 'hello again' }));
  const told = await receiver.told(2, outgoing.secret);
  assert.deepEqual(told.map((one) => one.change.message.content.text), ['heard', 'hello again']);
});

describe('an outgoing webhook', () => {
  test('hears what happens, signed, and only what it asked for', async () => {
    const id = await group(ann, bob);
    const hook = await make(ann, { kind: 'outgoing', conversation_id: id, url: receiver.url, events: ['message', 'recalled'] });
    assert.equal(hook.secret.length, 43);
    assert.equal(ok(await ann.get(`/api/v1/webhooks?conversation_id=${id}`)).webhooks[0].secret, '');
    receiver.calls = [];
    const { seq } = await say(bob, id, 'first "quoted" 中文');
    let [told] = await receiver.told(1, hook.secret);
    assert.deepEqual([told.webhook_id, told.type, told.conversation.id], [hook.id, 'message', id]);
    assert.deepEqual([told.change.message.sender_id, told.change.message.content.text], [bob.user.id, 'first "quoted" 中文']);
    ok(await ann.post(`/api/v1/conversations/${id}/messages/${seq}/reactions`, { emoji: '👍' })); // not asked for
    ok(await bob.delete(`/api/v1/conversations/${id}/messages/${seq}`));
    [, told] = await receiver.told(2, hook.secret);
    assert.deepEqual([told.type, told.change.message.seq, told.change.message.content], ['recalled', seq, undefined]);
    ok(await ann.delete(`/api/v1/webhooks/${hook.id}`));
    await say(bob, id, 'after its end');
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    assert.equal(receiver.calls.length, 2);
  });

  test('is tried again, and what was recalled meanwhile is not told', async () => {
    const id = await group(ann, bob);
    const hook = await make(ann, { kind: 'outgoing', conversation_id: id, url: receiver.url });
    receiver.calls = [];
    receiver.answers = [500];
    const { seq } = await say(bob, id, 'a secret');
    await receiver.told(1, hook.secret);
    await eventually(async () => {
      const [seen] = ok(await ann.get(`/api/v1/webhooks?conversation_id=${id}`)).webhooks;
      assert.match(seen.problem, /status 500/);
      assert.ok(seen.failing_since_ms > 0);
    });
    ok(await bob.delete(`/api/v1/conversations/${id}/messages/${seq}`));
    const [, again] = await receiver.told(2, hook.secret);
    assert.deepEqual([again.change.message.seq, again.change.message.content], [seq, undefined]);
    await eventually(async () => {
      const [seen] = ok(await ann.get(`/api/v1/webhooks?conversation_id=${id}`)).webhooks;
      assert.deepEqual([seen.problem, seen.failing_since_ms], ['', 0]);
    });
    const { queues } = ok(await root.get('/api/v1/tasks/queues'));
    assert.equal(queues.find((q) => q.name === 'webhooks')?.dead ?? 0, 0);
  });

  test('whose server is gone is disabled, its group is told, and it can be enabled again', async () => {
    const id = await group(ann, bob);
    const hook = await make(ann, { kind: 'outgoing', conversation_id: id, url: receiver.url, name: 'Gone' });
    receiver.calls = [];
    receiver.answers = [410];
    await say(bob, id, 'one');
    await receiver.told(1, hook.secret);
    const notes = await eventually(async () => {
      const found = (await messages(bob, id)).filter((m) => m.content.kind === 'system');
      return found.length > 0 && found;
    });
    assert.deepEqual([notes[0].content.note.event, notes[0].content.note.text], ['webhook_disabled', 'Gone']);
    const [seen] = ok(await ann.get(`/api/v1/webhooks?conversation_id=${id}`)).webhooks;
    assert.equal(seen.is_disabled, true);
    await say(bob, id, 'two');
    ok(await ann.post(`/api/v1/webhooks/${hook.id}/enable`));
    await say(bob, id, 'three');
    // What a broker brought late, from before it was enabled again, may be among it; in one process nothing is late.
    const texts = async () => (await receiver.told(2, hook.secret), receiver.calls.slice(1).map(({ body }) => JSON.parse(body).change.message.content.text));
    await eventually(async () => (await texts()).at(-1) === 'three');
    if (!shape) assert.deepEqual(await texts(), ['three']);
  });

  test('of a bot hears wherever the bot is, but not the bot', async () => {
    const bot = ok(await ann.post('/api/v1/bots', { username: 'ears.bot' }), 201);
    const key = ok(await ann.post('/api/v1/auth/keys', { name: 'k', kind: 'token', user_id: bot.id }), 201);
    const robo = new Client(server.url, { token: key.secret });
    const hook = await make(ann, { kind: 'outgoing', bot_id: bot.id, url: receiver.url });
    refused(await bob.post('/api/v1/webhooks', { name: 'x', kind: 'outgoing', bot_id: bot.id, url: receiver.url }), 'not_found');
    const elsewhere = await group(bob);
    const id = await group(bob);
    await say(bob, id, 'before it came');
    ok(await bob.post(`/api/v1/groups/${id}/members`, { user_ids: [bot.id] }));
    receiver.calls = [];
    await say(bob, elsewhere, 'where it is not');
    await say(bob, id, 'ping');
    let [told] = await receiver.told(1, hook.secret);
    assert.equal(told.change.message.content.text, 'ping');
    await say(robo, id, 'pong');
    await say(bob, id, 'ping 2');
    [, told] = await receiver.told(2, hook.secret);
    assert.equal(told.change.message.content.text, 'ping 2');
    ok(await bob.delete(`/api/v1/groups/${id}/members/${bot.id}`));
    await say(bob, id, 'after it went');
    ok(await bob.post(`/api/v1/groups/${elsewhere}/members`, { user_ids: [bot.id] }));
    ok(await ann.delete(`/api/v1/bots/${bot.id}`));
    await say(bob, elsewhere, 'after its end');
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    assert.equal(receiver.calls.length, 2);
  });

  test('needs a URL and events that are some', async () => {
    const id = await group(ann);
    const wrong = { name: 'x', kind: 'outgoing', conversation_id: id };
    for (const url of ['', 'ftp://example.org/', 'https://', 'https://a b/', 'http://user:pw@example.org/', `https://example.org/${'x'.repeat(1000)}`, 'javascript:alert(1)'])
      refused(await ann.post('/api/v1/webhooks', { ...wrong, url }), 'invalid_argument', /^url: /);
    refused(await ann.post('/api/v1/webhooks', { ...wrong, url: receiver.url, events: ['everything'] }), 'invalid_argument', /^events: /);
    refused(await ann.post('/api/v1/webhooks', { ...wrong, conversation_id: '' , url: receiver.url }), 'invalid_argument');
  });
});

test('webhooks do not reach into the network of the server', async () => {
  const guarded = await startServer();
  const owner = await guarded.register('owner');
  const place = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'Guarded' }), 201).id;
  const { port } = receiver.server.address();
  const urls = [receiver.url, `http://localhost:${port}/`, `http://[::1]:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`, `http://2130706433:${port}/`,
    `http://0x7f.1:${port}/`, `http://0.0.0.0:${port}/`, 'http://169.254.169.254/latest/meta-data/', 'http://10.0.0.1/', 'http://192.168.1.1/', 'http://[fd00::1]/'];
  receiver.calls = [];
  for (const [i, url] of urls.entries())
    ok(await owner.post('/api/v1/webhooks', { name: `no. ${i}`, kind: 'outgoing', conversation_id: place, url }), 201);
  ok(await owner.post('/api/v1/messages', { conversation_id: place, client_msg_id: 'one', content: { text: 'a body that nobody gets' } }));
  await eventually(async () => {
    const { webhooks } = ok(await owner.get(`/api/v1/webhooks?conversation_id=${place}`));
    const quiet = webhooks.filter((w) => !w.problem).map((w) => w.url);
    assert.deepEqual(quiet, []);
    return webhooks.every((w) => /address|allowed|reach|resolve/i.test(w.problem)) || assert.fail(JSON.stringify(webhooks.map((w) => w.problem)));
  }, { ms: 60_000 });
  assert.deepEqual(receiver.calls, []);
  assert.ok(!guarded.output.includes('a body that nobody gets'));
  await guarded.stop();
});

test('a redirect is followed nowhere', async () => {
  const id = await group(ann);
  await make(ann, { kind: 'outgoing', conversation_id: id, url: receiver.url });
  receiver.calls = [];
  receiver.answers = [302];
  await say(ann, id, 'go there');
  await eventually(async () => {
    const [seen] = ok(await ann.get(`/api/v1/webhooks?conversation_id=${id}`)).webhooks;
    assert.match(seen.problem, /status 302/);
  });
});

test('what nobody answers slows nobody, and the server still stops in time', async (t) => {
  const own = await startServer({ env: { PARLANCE_WEBHOOKS_ALLOWED_ADDRESSES: '127.0.0.1' } });
  const owner = await own.register('owner');
  const { createServer } = await import('node:net');
  const taken = [];
  const hole = createServer((socket) => taken.push(socket)); // takes connections and says nothing
  t.after(() => {
    for (const socket of taken) socket.destroy();
    hole.close();
  });
  await new Promise((resolve) => { hole.listen(0, '127.0.0.1', resolve); });
  const place = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'Hole' }), 201).id;
  for (let i = 0; i < 8; i += 1)
    ok(await owner.post('/api/v1/webhooks', { name: 'x', kind: 'outgoing', conversation_id: place, url: `http://127.0.0.1:${hole.address().port}/` }), 201);
  const from = Date.now();
  for (let i = 0; i < 10; i += 1)
    ok(await owner.post('/api/v1/messages', { conversation_id: place, client_msg_id: `m${i}`, content: { text: 'x' } }));
  assert.ok(Date.now() - from < 8000);
  await new Promise((resolve) => { setTimeout(resolve, 300); });
  const { ms } = await own.stop();
  assert.ok(ms < 8000, `${ms}`); // a delivery may take ten seconds
});

test('slow receivers hold up neither others nor each other, hear one thing at a time and in order, and get pauses', async () => {
  const slow = await Receiver.start();
  slow.takesMs = 3300;
  const swift = await Receiver.start(); // what other tests left comes to theirs
  const [busy, quick] = [await group(ann), await group(ann)];
  for (let i = 0; i < 3; i += 1) await make(ann, { kind: 'outgoing', conversation_id: busy, url: slow.url });
  const { secret } = await make(ann, { kind: 'outgoing', conversation_id: quick, url: swift.url });
  for (let i = 0; i < 5; i += 1) await say(ann, busy, `slow ${i}`);
  await eventually(() => slow.calls.length >= 3);
  const from = Date.now();
  for (let i = 0; i < 5; i += 1) await say(ann, quick, `quick ${i}`);
  const told = await swift.told(5, secret);
  assert.ok(Date.now() - from < 2500, `${Date.now() - from}`);
  assert.deepEqual(told.map((t) => t.change.message.content.text), [0, 1, 2, 3, 4].map((i) => `quick ${i}`));
  assert.equal(slow.calls.length, 3, 'one at a time for each');
  await eventually(async () => {
    const { webhooks } = ok(await ann.get(`/api/v1/webhooks?conversation_id=${busy}`));
    for (const hook of webhooks) assert.match(hook.problem, /took \d+ ms/);
  });
  for (const hook of ok(await ann.get(`/api/v1/webhooks?conversation_id=${busy}`)).webhooks) ok(await ann.delete(`/api/v1/webhooks/${hook.id}`));
  await Promise.all([slow.stop(), swift.stop()]);
});

test('queues are for administrators; what is not there cannot be revived', async () => {
  refused(await ann.get('/api/v1/tasks/queues'), 'permission_denied');
  assert.deepEqual(ok(await root.get('/api/v1/tasks/dead')), { tasks: [], next_cursor: '' });
  refused(await root.post('/api/v1/tasks/dead/revive', { id: 12345 }), 'not_found');
  refused(await root.post('/api/v1/tasks/dead/revive', {}), 'invalid_argument');
  refused(await root.get('/api/v1/tasks/dead?cursor=x'), 'invalid_argument');
  assert.deepEqual(ok(await root.post('/api/v1/tasks/dead/revive', { queue: 'webhooks' })), { count: 0 });
  assert.deepEqual(ok(await root.delete('/api/v1/tasks/dead?queue=webhooks')), { count: 0 });
});
