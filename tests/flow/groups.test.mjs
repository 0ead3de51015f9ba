// Coming into a group: invitations and links over the socket and REST, told to every device, kept over a restart; searching by
// filters alone; typing over REST.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { rmSync } from 'node:fs';
import { isSplit } from './deployment.mjs';
import { eventually, makeDataDir, startServer } from './server.mjs';
import { Talker } from './talker.mjs';

let server;
let count = 0;
const fresh = (name) => server.register(`${name}${count += 1}`);

before(async () => { server = await startServer(); });
after(() => server?.stop());

async function group(owner, more = {}) {
  return ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'A group', ...more }), 201).id;
}

describe('invitations', () => {
  test('are told to both sides, found again by sync, and answered from any device', async () => {
    const [ann, bob] = [await fresh('ann'), await fresh('bob')];
    const id = await group(ann);
    const [annWire, bobWire, phone] = await Promise.all([ann, bob, bob].map((client) => Talker.open(server, client)));
    const { invitations } = await annWire.ok('invite_members', { id, user_ids: [bob.user.id], note: 'the Friday lunch' });
    assert.equal(invitations[0].state, 'offered');
    for (const wire of [bobWire, phone]) {
      const told = await wire.next('invitation');
      assert.deepEqual([told.conversation_id, told.inviter_id, told.title, told.note], [id, ann.user.id, 'A group', 'the Friday lunch']);
    }
    const late = await Talker.open(server, bob); // was not there when it was told
    assert.deepEqual((await late.ok('sync', { cursor: '' })).invitations.map((v) => v.conversation_id), [id]);
    assert.deepEqual(ok(await bob.get('/api/v1/groups/invitations')).invitations.map((v) => v.conversation_id), [id]);
    refused(await bob.get(`/api/v1/conversations/${id}`), 'not_found');

    const { conversation } = await bobWire.ok('answer_invitation', { id, is_accepted: true });
    assert.equal(conversation.own.state, 'active');
    await annWire.next('invitation', (v) => v.state === 'accepted' && v.user_id === bob.user.id);
    await phone.next('invitation', (v) => v.state === 'accepted');
    await annWire.next('change', (c) => c.type === 'member' && c.member.user_id === bob.user.id);
    assert.deepEqual((await late.ok('sync', { cursor: '' })).invitations, []);
    await annWire.say(id, 'welcome');
    assert.equal((await phone.next('change', (c) => c.type === 'message')).message.content.text, 'welcome');
    await Promise.all([annWire, bobWire, phone, late].map((wire) => wire.close()));
  });

  test('that were declined or taken back are over, and a stranger hears nothing', async () => {
    const [ann, bob, cleo] = [await fresh('ann'), await fresh('bob'), await fresh('cleo')];
    const id = await group(ann);
    const [annWire, bobWire, cleoWire] = await Promise.all([ann, bob, cleo].map((client) => Talker.open(server, client)));
    await annWire.ok('invite_members', { id, user_ids: [bob.user.id] });
    await bobWire.ok('answer_invitation', { id, is_accepted: false });
    await annWire.next('invitation', (v) => v.state === 'declined');
    await bobWire.refused('answer_invitation', { id, is_accepted: true }, 'not_found');
    assert.deepEqual((await annWire.ok('invite_members', { id, user_ids: [bob.user.id] })).refused_user_ids, [bob.user.id]);
    const dora = await fresh('dora');
    const doraWire = await Talker.open(server, dora);
    ok(await ann.post(`/api/v1/groups/${id}/invitations`, { user_ids: [dora.user.id] }));
    ok(await ann.delete(`/api/v1/groups/${id}/invitations/${dora.user.id}`));
    await doraWire.next('invitation', (v) => v.state === 'revoked');
    refused(await dora.post(`/api/v1/groups/invitations/${id}/answer`, { is_accepted: true }), 'not_found');
    await cleoWire.settle();
    assert.ok(!cleoWire.events.some((e) => e.invitation || e.change));
    await Promise.all([annWire, bobWire, cleoWire, doraWire].map((wire) => wire.close()));
  });

  test('are there after a kill', async () => {
    const dataDir = makeDataDir();
    let own = await startServer({ dataDir });
    try {
      const [ann, bob] = [await own.register('ann'), await own.register('bob')];
      const id = await group(ann, { is_consent_needed: true, user_ids: [bob.user.id] });
      await own.stop({ signal: 'SIGKILL' });
      own = await startServer({ dataDir });
      bob.base = own.url;
      assert.deepEqual(ok(await bob.get('/api/v1/groups/invitations')).invitations.map((v) => v.conversation_id), [id]);
      assert.equal(ok(await bob.post(`/api/v1/groups/invitations/${id}/answer`, { is_accepted: true })).conversation.member_count, 2);
    } finally {
      await own.stop();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});

describe('links', () => {
  test('lead in once told, until they are ended; dead ones look alike', async () => {
    const [ann, bob, cleo] = [await fresh('ann'), await fresh('bob'), await fresh('cleo')];
    const id = await group(ann);
    const { token, id: link } = ok(await ann.post(`/api/v1/groups/${id}/links`, { max_uses: 5 }), 201);
    assert.equal(ok(await bob.post('/api/v1/groups/links/look', { token })).title, 'A group');
    assert.equal(ok(await bob.post('/api/v1/groups/links/join', { token })).own.state, 'active');
    const [kept] = ok(await ann.get(`/api/v1/groups/${id}/links`)).links;
    assert.deepEqual([kept.id, kept.token, kept.use_count], [link, '', 1]);
    ok(await ann.delete(`/api/v1/groups/${id}/links/${link}`));
    const dead = refused(await cleo.post('/api/v1/groups/links/join', { token }), 'not_found');
    const never = refused(await cleo.post('/api/v1/groups/links/join', { token: 'x'.repeat(43) }), 'not_found');
    assert.equal(dead.message, never.message);
  });

  test('are not guessed at leisure', async () => {
    const limited = await startServer({ env: { PARLANCE_HTTP_RATE_LIMITS: 'true' } });
    const bob = await limited.register('bob');
    const look = async (token) => (await bob.post('/api/v1/groups/links/look', { token: `${token}` })).status;
    if (isSplit) { // gateways count together, by the minute of the clock: not at its end
      await eventually(() => Date.now() % 60_000 < 45_000);
      bob.base = limited.parts.get('gateway-1').url;
    }
    const statuses = [];
    for (let i = 0; i < 40; i += 1) statuses.push(await look(i));
    assert.deepEqual([...new Set(statuses)], [404, 429]);
    if (isSplit) { // the other one was asked nothing yet, and is asked less than is allowed there
      bob.base = limited.parts.get('gateway-2').url;
      await eventually(async () => await look('more') === 429, { ms: 8000, every: 400 });
    }
    await limited.stop();
  });
});

test('typing over REST is told like typing on the socket', async () => {
  const [ann, bob, cleo] = [await fresh('ann'), await fresh('bob'), await fresh('cleo')];
  const annWire = await Talker.open(server, ann);
  const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: { text: 'hello' } });
  ok(await bob.post(`/api/v1/conversations/${id}/typing`));
  assert.deepEqual(await annWire.next('is_typing'), { conversation_id: id, user_id: bob.user.id });
  refused(await cleo.post(`/api/v1/conversations/${id}/typing`), 'not_found');
  await annWire.close();
});

test('search answers filters alone, in pages', async () => {
  const [ann, bob] = [await fresh('ann'), await fresh('bob')];
  const wire = await Talker.open(server, ann);
  const { conversation_id: id } = await wire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: { text: 'hello' } });
  for (let i = 0; i < 5; i += 1)
    await wire.ok('send_message', { conversation_id: id, client_msg_id: `p${i}`, content: { kind: 'location', location: { latitude: i, longitude: 1 } } });
  await eventually(async () => (await wire.ok('search', { kind: 'location', id })).messages.length === 5);
  const first = ok(await bob.get(`/api/v1/messages/search?sender_id=${ann.user.id}&kind=location&limit=3`));
  assert.deepEqual(first.messages.map((m) => m.seq), [6, 5, 4]);
  await wire.ok('send_message', { conversation_id: id, client_msg_id: 'meanwhile', content: { kind: 'location', location: { latitude: 9, longitude: 1 } } });
  const second = ok(await bob.get(`/api/v1/messages/search?sender_id=${ann.user.id}&kind=location&limit=3&cursor=${first.next_cursor}`));
  assert.deepEqual([second.messages.map((m) => m.seq), second.next_cursor], [[3, 2], '']);
  refused(await bob.get('/api/v1/messages/search'), 'invalid_argument');
  await wire.close();
});

test('calling everybody is for owner and admins, until the group says otherwise', async () => {
  const [ann, bob] = [await fresh('ann'), await fresh('bob')];
  const id = await group(ann, { user_ids: [bob.user.id] });
  const all = (client_msg_id) => ({ conversation_id: id, client_msg_id, content: { text: '@all', is_mentioning_all: true } });
  ok(await ann.post('/api/v1/messages', all('one')));
  refused(await bob.post('/api/v1/messages', all('two')), 'permission_denied');
  ok(await ann.put(`/api/v1/groups/${id}`, { members_may_mention_all: true }));
  ok(await bob.post('/api/v1/messages', all('two')));
});
