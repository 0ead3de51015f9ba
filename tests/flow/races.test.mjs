// Many at once: what may happen once happens once, and whatever the order, the state makes sense afterwards.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { startServer } from './server.mjs';

let server;
let host;

before(async () => {
  server = await startServer();
  await server.register('root');
  host = await server.register('hostess');
});
after(() => server?.stop());

const times = (n, fn) => Promise.all(Array.from({ length: n }, (_, i) => fn(i)));
const statuses = (replies) => replies.map((reply) => reply.status).sort();
const make = async (fields = {}) => ok(await host.post('/api/v1/meetings', { title: 'Rush', ...fields }), 201);

describe('accounts', () => {
  test('one name, one account', async () => {
    const replies = await times(10, () => server.client().post('/api/v1/auth/register', { username: 'wanted', password: 'long enough' }));
    assert.equal(replies.filter((r) => r.status === 201).length, 1, `${statuses(replies)}`);
    for (const reply of replies.filter((r) => r.status !== 201)) refused(reply, 'already_exists');
  });

  test('the first account is administrator, and only one is the first', async () => {
    const empty = await startServer();
    const replies = await times(8, (i) => empty.client().post('/api/v1/auth/register', { username: `first${i}`, password: 'long enough' }));
    assert.equal(replies.filter((r) => ok(r, 201).user.role === 'admin').length, 1);
    await empty.stop();
  });

  test('one refresh token renewed by many tabs at once: one successor for all', async () => {
    const client = await server.register('tabs');
    const replies = await times(6, () => server.client().post('/api/v1/auth/refresh', { refresh_token: client.refreshToken }));
    const good = replies.filter((r) => r.status === 200);
    assert.ok(good.length >= 1, `${statuses(replies)}`);
    const jtis = new Set(good.map((r) => JSON.parse(Buffer.from(r.body.refresh_token.split('.')[1], 'base64url')).jti));
    assert.equal(jtis.size, 1, 'the same client asks for the same thing');
    ok(await server.client().post('/api/v1/auth/refresh', { refresh_token: good[0].body.refresh_token }));
  });

  test('two password changes at once: one of them', async () => {
    const client = await server.register('changer');
    const replies = await times(2, (i) => client.post('/api/v1/auth/password', { old_password: 'changer-password', new_password: `a new one ${i}` }));
    const good = replies.findIndex((r) => r.status === 200);
    assert.ok(good >= 0, `${statuses(replies)}`);
    await server.client().signIn('changer', `a new one ${good}`);
    const other = await server.client().post('/api/v1/auth/login', { login: 'changer', password: `a new one ${1 - good}` });
    if (replies[1 - good].status !== 200) refused(other, 'unauthenticated');
  });
});

describe('meetings', () => {
  test('a link for three lets in three', async () => {
    const meeting = await make({ password: 'sesame' });
    const link = ok(await host.post(`/api/v1/meetings/${meeting.id}/invitations`, { uses_max: 3 }), 201);
    const replies = await times(10, (i) => server.client().post(`/api/v1/meetings/${meeting.id}/join`, { name: `G${i}`, invitation: link.token }));
    assert.equal(replies.filter((r) => r.status === 200).length, 3, `${statuses(replies)}`);
    assert.equal(ok(await host.get(`/api/v1/meetings/${meeting.id}/invitations`)).invitations[0].uses_count, 3);
  });

  test('one person joining often is there once', async () => {
    const meeting = await make();
    const replies = await times(10, () => host.post(`/api/v1/meetings/${meeting.id}/join`));
    assert.equal(new Set(replies.map((r) => ok(r).participant.id)).size, 1);
    assert.equal(ok(await host.get(`/api/v1/meetings/${meeting.id}`)).participant_count, 1);
  });

  test('joins, leaves and the end at once: it has ended, and nobody is in it', async () => {
    const users = await times(6, (i) => server.register(`rush${i}`));
    for (let round = 0; round < 3; round++) {
      const meeting = await make();
      ok(await host.post(`/api/v1/meetings/${meeting.id}/join`));
      const replies = await Promise.all([
        ...users.map((u) => u.post(`/api/v1/meetings/${meeting.id}/join`)),
        ...users.map((u) => u.post(`/api/v1/meetings/${meeting.id}/leave`)),
        host.post(`/api/v1/meetings/${meeting.id}/end`),
      ]);
      for (const reply of replies) assert.ok([200, 404, 409].includes(reply.status), reply.text);
      const seen = ok(await host.get(`/api/v1/meetings/${meeting.id}`));
      assert.equal(seen.state, 'ended');
      assert.equal(seen.participant_count, 0);
      const { participants } = ok(await host.get(`/api/v1/meetings/${meeting.id}/participants`));
      for (const p of participants) assert.ok(['left', 'invited'].includes(p.state), `${p.name}: ${p.state}`);
    }
  });

  test('handing over to two at once leaves one host', async () => {
    const meeting = await make();
    const users = await times(2, (i) => server.register(`heir${i}`));
    const places = [];
    ok(await host.post(`/api/v1/meetings/${meeting.id}/join`));
    for (const u of users) places.push(ok(await u.post(`/api/v1/meetings/${meeting.id}/join`)).participant.id);
    const replies = await Promise.all(places.map((id) => host.put(`/api/v1/meetings/${meeting.id}/participants/${id}/role`, { role: 'host' })));
    assert.deepEqual(statuses(replies), [200, 403]);
    const { participants } = ok(await users[0].get(`/api/v1/meetings/${meeting.id}/participants`));
    const hosts = participants.filter((p) => p.role === 'host');
    assert.equal(hosts.length, 1);
    assert.equal(ok(await users[0].get(`/api/v1/meetings/${meeting.id}`)).host_id, hosts[0].user_id);
  });

  test('admitting all, twice at once, admits each once', async () => {
    const meeting = await make({ has_waiting_room: true });
    ok(await host.post(`/api/v1/meetings/${meeting.id}/join`));
    for (let i = 0; i < 4; i++) ok(await server.client().post(`/api/v1/meetings/${meeting.id}/join`, { name: `W${i}` }));
    const replies = await times(3, () => host.post(`/api/v1/meetings/${meeting.id}/participants/all/admit`));
    assert.equal(replies.map((r) => ok(r).admitted_count).reduce((a, b) => a + b), 4);
    assert.equal(ok(await host.get(`/api/v1/meetings/${meeting.id}`)).participant_count, 5);
  });
});
