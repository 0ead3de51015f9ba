// Bots: a program's account on a real server, over REST and the socket, by token and by signature.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { endsSoon, ok, refused } from './check.mjs';
import { Client, startServer } from './server.mjs';
import { SignedClient } from './signed.mjs';
import { Talker } from './talker.mjs';

let server; let ann; let bob; let bot; let token; let robo;

before(async () => {
  server = await startServer();
  await server.register('root');
  ann = await server.register('ann');
  bob = await server.register('bob');
  bot = ok(await ann.post('/api/v1/bots', { username: 'build.bot', nickname: 'Builds' }), 201);
  token = ok(await ann.post('/api/v1/auth/keys', { name: 'ci', kind: 'token', user_id: bot.id }), 201);
  robo = new Client(server.url, { token: token.secret });
});
after(() => server?.stop());

test('a bot is marked, and is its owner\'s', async () => {
  const seen = ok(await bob.get(`/api/v1/users/${bot.id}`));
  assert.deepEqual([seen.is_bot, seen.owner_id, seen.role], [true, ann.user.id, 'user']);
  assert.equal(ok(await robo.get('/api/v1/users/me')).id, bot.id);
  assert.deepEqual(ok(await ann.get('/api/v1/bots')).users.map((u) => u.id), [bot.id]);
  assert.deepEqual(ok(await bob.get('/api/v1/bots')).users, []);
});

test('it talks where it was added, and answers whoever writes to it', async () => {
  const group = ok(await bob.post('/api/v1/groups', { kind: 'group', title: 'Builds', user_ids: [ann.user.id, bot.id] }), 201);
  const { members } = ok(await bob.get(`/api/v1/groups/${group.id}/members`));
  assert.deepEqual(members.filter((m) => m.is_bot).map((m) => m.user_id), [bot.id]);
  const device = await Talker.open(server, null, { token: token.secret });
  const listener = await Talker.open(server, bob);
  await device.say(group.id, 'green');
  assert.equal((await listener.next('change', (c) => c.type === 'message')).message.sender_id, bot.id);
  refused(await robo.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'a', content: { text: 'hi' } }), 'permission_denied');
  const { conversation_id: id } = ok(await bob.post('/api/v1/messages', { to_user_id: bot.id, client_msg_id: 'a', content: { text: 'hi' } }));
  await device.next('change', (c) => c.conversation_id === id);
  await device.say(id, 'hello');
  assert.equal((await listener.next('change', (c) => c.conversation_id === id && c.message.sender_id === bot.id)).message.content.text, 'hello');
  for (const one of [device, listener]) await one.close();
});

test('it signs, too; what is for people is closed to it', async () => {
  const key = ok(await ann.post('/api/v1/auth/keys', { name: 'signs', user_id: bot.id }), 201);
  const signer = new SignedClient(server.url, key);
  assert.equal(ok(await signer.get('/api/v1/users/me')).id, bot.id);
  for (const one of [robo, signer]) {
    refused(await one.post('/api/v1/meetings', { title: 'x' }), 'permission_denied', /bots/);
    refused(await one.post('/api/v1/groups', { kind: 'group', title: 'x' }), 'permission_denied', /bots/);
    refused(await one.post('/api/v1/bots', { username: 'more.bots' }), 'permission_denied', /bots/);
    refused(await one.get('/api/v1/auth/keys'), 'permission_denied');
    refused(await one.post('/api/v1/auth/keys', { name: 'x' }), 'permission_denied');
  }
  refused(await server.client().post('/api/v1/auth/login', { login: 'build.bot', password: 'whatever it is' }), 'unauthenticated');
  refused(await bob.post('/api/v1/auth/keys', { name: 'x', user_id: bot.id }), 'not_found');
});

test('a token that ends closes its sockets; a bot that ends is void', async () => {
  const other = ok(await ann.post('/api/v1/auth/keys', { name: 'short', kind: 'token', user_id: bot.id }), 201);
  const device = await Talker.open(server, null, { token: other.secret });
  ok(await ann.delete(`/api/v1/auth/keys/${other.id}`));
  assert.equal((await device.closed).code, 4401);
  await endsSoon(new Client(server.url, { token: other.secret }));
  const last = await Talker.open(server, null, { token: token.secret });
  ok(await ann.delete(`/api/v1/bots/${bot.id}`));
  await last.closed;
  await endsSoon(robo);
  assert.deepEqual(ok(await ann.get('/api/v1/bots')).users, []);
});

test('meetings of bots are the operator\'s choice, and so are bots', async () => {
  const other = await startServer({ env: { PARLANCE_BOTS_MAY_CREATE_MEETINGS: 'true', PARLANCE_BOTS_PER_OWNER: '1' } });
  const owner = await other.register('owner');
  const one = ok(await owner.post('/api/v1/bots', { username: 'one.bot' }), 201);
  refused(await owner.post('/api/v1/bots', { username: 'two.bot' }), 'resource_exhausted', /at most 1 bots/);
  const key = ok(await owner.post('/api/v1/auth/keys', { name: 'k', kind: 'token', user_id: one.id }), 201);
  ok(await new Client(other.url, { token: key.secret }).post('/api/v1/meetings', { title: 'Stand-up' }), 201);
  await other.stop();
});
