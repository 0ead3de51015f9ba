// Shards in two databases, PostgreSQL and MariaDB: what a person has is one list, one cursor, one search over both; an owner
// that is killed is passed over in both; while one of them is away its conversations say so and the others go on.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { Missing, databaseOf, startService } from '../../services/services.mjs';
import { judge } from '../history.mjs';
import { PartStorm, ownedBy, until } from '../part_storm.mjs';
import { makeDataDir, run, startProcess } from '../server.mjs';
import { pause } from '../sharded.mjs';
import { Talker } from '../talker.mjs';

const SHARDS = 4;
const engines = {};
let skip = false;
try {
  for (const name of ['postgres', 'mysql', 'redis']) {
    engines[name] = await startService(name);
    process.env[`PARLANCE_TEST_${name.toUpperCase()}_URL`] = engines[name].url;
  }
} catch (problem) {
  if (!(problem instanceof Missing)) throw problem;
  skip = `without PostgreSQL, MariaDB or Redis: ${problem.message}`;
}

let storm;
let ann;
let bob;
const groups = { main: [], other: [] }; // ids, by the database they lie in
const parts = () => ['message-0', 'message-1'].map((name) => storm.server.part(name));
const areSpread = () => until(() => parts().every((part) => ownedBy(part) === SHARDS / 2), 'each owns its half');
const isInMain = (id) => execFileSync('psql', [storm.server.database, '-Atc',
  `SELECT COUNT(*) FROM message_conversations WHERE id = '${id}'`], { encoding: 'utf8' }).trim() === '1';
const texts = (body) => body.messages.map((m) => m.content.text).sort();

before(async () => {
  if (skip) return;
  storm = await new PartStorm({ shards: SHARDS, stores: { '2-3': databaseOf('mysql', 'shard-stores') } }).begin();
  [ann, bob] = storm.devices;
});
after(async () => {
  try {
    await storm?.server?.stop({ areErrorsExpected: true });
  } finally {
    for (const engine of Object.values(engines)) await engine.stop();
  }
});

test('groups lie in both, and are told, listed, counted and found alike', { skip, timeout: 60_000 }, async () => {
  await areSpread();
  const a = await Talker.open(storm.server.gateways[0], ann.client);
  const b = await Talker.open(storm.server.gateways[1], bob.client);
  const begun = (await b.ok('sync', { cursor: '' })).cursor;
  assert.equal(begun.split(',').length, SHARDS);
  for (let i = 0; i < 24 || !groups.main.length || !groups.other.length; i += 1) {
    const { body } = await ann.client.post('/api/v1/groups', { kind: 'group', title: `g${i}`, user_ids: [bob.user] });
    await a.say(body.id, `heron ${i}`);
    await b.next('change', (c) => c.type === 'message' && c.conversation_id === body.id);
    groups[isInMain(body.id) ? 'main' : 'other'].push(body.id);
  }
  const all = [...groups.main, ...groups.other].sort();
  const moved = await b.ok('sync', { cursor: begun, limit: 200 });
  assert.deepEqual([moved.is_reset, moved.conversations.map((c) => c.id).filter((id) => all.includes(id)).sort()], [false, all]);
  assert.equal((await b.ok('ping', { cursor: begun })).heads.length >= all.length, true);

  const listed = [];
  for (let cursor = ''; ;) { // in the order of what happened last, over pages of both
    const { body } = await bob.client.get(`/api/v1/conversations?limit=5&cursor=${encodeURIComponent(cursor)}`);
    listed.push(...body.conversations);
    cursor = body.next_cursor;
    if (!cursor) break;
  }
  const times = listed.map((c) => Number(c.active_at_ms));
  assert.deepEqual(times, [...times].sort((x, y) => y - x));
  assert.equal(new Set(listed.map((c) => c.id)).size, listed.length);
  assert.deepEqual(listed.map((c) => c.id).filter((id) => all.includes(id)).sort(), all);
  await a.close();
  await b.close();
});

test('search pages over both', { skip, timeout: 60_000 }, async () => {
  const count = groups.main.length + groups.other.length;
  const search = (more = '') => bob.client.get(`/api/v1/messages/search?query=heron&limit=5${more}`);
  for (const end = Date.now() + 20_000; ;) {
    const found = [];
    for (let cursor = ''; ;) {
      const { body } = await search(cursor && `&cursor=${cursor}`);
      found.push(...body.messages);
      cursor = body.next_cursor;
      if (!cursor) break;
    }
    if (found.length === count && new Set(found.map((m) => m.id)).size === count) break;
    assert.ok(Date.now() < end, `${found.length} of ${count} found`);
    await pause(200);
  }
});

test('forwarded from one to the other, a link, an invitation, a message for later, a block', { skip, timeout: 60_000 }, async () => {
  const [main, other] = [groups.main[0], groups.other[0]];
  const a = await Talker.open(storm.server.gateways[0], ann.client);
  for (const [from, to] of [[main, other], [other, main]]) {
    const sent = await a.ok('send_message', { conversation_id: to, client_msg_id: `f${to}`, forward_conversation_id: from, forward_seq: 1 });
    const { body } = await ann.client.get(`/api/v1/conversations/${to}/messages?after_seq=${sent.seq - 1}`);
    assert.equal(body.messages[0].forwarded_from.conversation_id, from);
  }
  const carl = await storm.server.register('carl');
  for (const id of [main, other]) {
    const link = await ann.client.post(`/api/v1/groups/${id}/links`, {});
    const view = await carl.post('/api/v1/groups/links/look', { token: link.body.token });
    assert.equal(view.body.conversation_id, id, JSON.stringify(view.body));
    const joined = await carl.post('/api/v1/groups/links/join', { token: link.body.token });
    assert.equal(joined.status, 200, JSON.stringify(joined.body));
    const later = await a.ok('send_message', { conversation_id: id, client_msg_id: 'later', content: { text: 'later' },
      send_at_ms: Date.now() + 6000 });
    assert.ok(later.scheduled_id);
  }
  const dora = await storm.server.register('dora');
  for (const id of [main, other]) await ann.client.post(`/api/v1/groups/${id}/invitations`, { user_ids: [dora.user.id] });
  const invited = await dora.get('/api/v1/groups/invitations');
  assert.deepEqual(invited.body.invitations.map((i) => i.conversation_id).sort(), [main, other].sort());

  // Whoever is blocked says nothing, wherever the two's conversation lies.
  const others = [];
  for (let i = 0; i < 6; i += 1) {
    const one = await storm.server.register(`blocked${i}`);
    const sent = await one.post('/api/v1/messages', { to_user_id: ann.user, client_msg_id: 'hello', content: { text: 'hello' } });
    assert.equal(sent.status, 200, JSON.stringify(sent.body));
    await a.ok('set_contact', { user_id: one.user.id, is_blocked: true });
    const again = await one.post('/api/v1/messages', { to_user_id: ann.user, client_msg_id: 'more', content: { text: 'more' } });
    assert.equal(again.status, 403, JSON.stringify(again.body));
    others.push(isInMain(sent.body.conversation_id));
  }
  console.log(`# ${others.filter((is) => !is).length} of ${others.length} lay in the second database`);
  const end = Date.now() + 30_000;
  for (const id of [main, other]) {
    for (;;) {
      const { body } = await ann.client.get(`/api/v1/conversations/${id}/messages`);
      if (texts(body).includes('later')) break;
      assert.ok(Date.now() < end, `what was for later came to ${id}`);
      await pause(200);
    }
  }
  await a.close();
});

test('who is killed is passed over in both databases', { skip, timeout: 60_000 }, async () => {
  await areSpread();
  await storm.through(async () => {
    await storm.server.part('message-1').stop({ signal: 'SIGKILL', keepData: true });
    await until(() => ownedBy(storm.server.part('message-0')) === SHARDS, 'the other one owns all');
  });
  await storm.server.startMessage(1);
  await areSpread();
});

test('one database away: its conversations say so, the others go on', { skip, timeout: 90_000 }, async () => {
  const [main, other] = [groups.main[0], groups.other[0]];
  const say = (id, text) => ann.client.post('/api/v1/messages', { conversation_id: id, client_msg_id: text, content: { text } });
  const b = await Talker.open(storm.server.gateways[1], bob.client);
  const { cursor } = await b.ok('sync', { cursor: '' });
  const last = await say(other, 'before');
  assert.equal(last.status, 200);

  await engines.mysql.end('SIGKILL');
  const refused = await say(other, 'meanwhile');
  assert.equal(refused.status, 503, JSON.stringify(refused.body));
  assert.equal(refused.body.error.code, 'unavailable');
  for (let i = 0; i < 5; i += 1) {
    const said = await say(main, `meanwhile ${i}`);
    assert.equal(said.status, 200, JSON.stringify(said.body));
    await b.hears(main, `meanwhile ${i}`);
  }
  // Who has a cursor catches up with the rest; who has none is told to come again, and not given half.
  const moved = await b.ok('sync', { cursor });
  assert.deepEqual([moved.is_reset, moved.is_partial, moved.conversations.map((c) => c.id)], [false, true, [main]]);
  await b.refused('sync', { cursor: '' }, 'unavailable');
  assert.equal((await bob.client.get('/api/v1/conversations')).status, 503);
  assert.equal((await bob.client.get(`/api/v1/conversations/${main}/messages`)).status, 200);
  const fresh = await Talker.open(storm.server.gateways[0], bob.client);
  await say(main, 'for who comes now');
  await fresh.hears(main, 'for who comes now');

  await engines.mysql.start();
  for (const end = Date.now() + 30_000; ;) {
    const again = await say(other, 'meanwhile');
    if (again.status === 200) break;
    assert.ok(again.status === 503 && Date.now() < end, JSON.stringify(again.body));
    await pause(200);
  }
  let caught = await b.ok('sync', { cursor: moved.cursor });
  for (const end = Date.now() + 30_000; caught.is_partial; ) { // another process may still believe that it is away
    assert.ok(caught.conversations.every((c) => c.id !== other) && Date.now() < end, 'whole again');
    await pause(200);
    caught = await b.ok('sync', { cursor: caught.cursor });
  }
  assert.equal(caught.is_reset, false);
  assert.ok(caught.conversations.some((c) => c.id === other));
  const { body } = await bob.client.get(`/api/v1/conversations/${other}/messages`);
  assert.deepEqual(body.messages.slice(-2).map((m) => m.content.text), ['before', 'meanwhile']);
  await fresh.event((frame) => frame.missed, 'missed', 30_000); // what it could not know when it came is known now
  await say(other, 'heard again');
  await fresh.next('change', (c) => c.message?.content?.text === 'heard again');
  await fresh.close();
  await b.close();
});

test('an erased account is gone from both', { skip, timeout: 60_000 }, async () => {
  const erin = await storm.server.register('erin');
  for (const id of [groups.main[0], groups.other[0]]) {
    const link = await ann.client.post(`/api/v1/groups/${id}/links`, {});
    assert.equal((await erin.post('/api/v1/groups/links/join', { token: link.body.token })).status, 200);
    assert.equal((await erin.post('/api/v1/messages', { conversation_id: id, client_msg_id: 'e', content: { text: 'of erin' } })).status, 200);
  }
  const erased = run(['erase', '--user', erin.user.id, '--yes'], { dataDir: storm.server.part('base').dataDir, env: storm.server.engines() });
  assert.equal(erased.status, 0, erased.stdout + erased.stderr);
  const end = Date.now() + 20_000;
  for (const id of [groups.main[0], groups.other[0]]) {
    for (;;) {
      const { body } = await ann.client.get(`/api/v1/conversations/${id}/messages?limit=100`);
      const [line] = body.messages.filter((m) => m.sender_id === erin.user.id);
      if (line?.recalled_at_ms && !line.content) break;
      assert.ok(Date.now() < end, `taken back in ${id}: ${JSON.stringify(line)}`);
      await pause(200);
    }
  }
});

test('what cannot be is refused, with its reason and without a password', { skip, timeout: 90_000 }, async () => {
  const { stores } = storm.server;
  const url = stores['2-3'];
  const env = storm.server.engines();
  const check = (list) => run(['check-config'], { dataDir: storm.server.dataDir, env: { ...env, PARLANCE_MESSAGES_SHARD_STORES: list } });
  for (const [list, why] of [
    [`2-3=${url},3=${url}2`, /named twice/], [`4=${url}`, /not so many shards/], [`2=${url},3=${url}`, /a database is named twice/],
    [`3-2=${url}`, /expected a list/], [`2=${env.PARLANCE_STORE_URL}`, /a database is named twice/], ['2=sqlite:x', /expected a list/],
  ]) {
    const { status, stderr } = check(list);
    assert.equal(status, 1, list);
    assert.match(stderr, why);
  }
  const good = check(`2-3=${url}`);
  assert.equal(good.status, 0, good.stderr);
  assert.ok(!good.stdout.includes(new URL(url).password), 'a password is shown');

  // Another place for a shard in which something was said; and a second owner that nobody can call.
  const starts = (more) => startProcess({ dataDir: makeDataDir(),
    env: { ...env, JWT_SECRET: 'the-key-that-signs-tokens-of-this-deployment', ...more } });
  const refuses = async (more, why) => {
    let text = '';
    try {
      await (await starts(more)).stop({ areErrorsExpected: true });
    } catch (problem) { text = problem.message; }
    assert.match(text, why);
    assert.ok(!text.includes(new URL(url).password), 'a password is logged');
  };
  await refuses({ PARLANCE_MESSAGES_SHARD_STORES: `3=${url}` }, /shard 2 does not lie in the database of store\.url/);
  await refuses({ PARLANCE_MESSAGES_SHARDS: '8' }, /made with 4 shards/);
  await refuses({}, /the two cannot call one another/);
  const twice = databaseOf('postgres', 'shard-stores-twice'); // by two addresses
  await refuses({ PARLANCE_STORE_URL: twice, PARLANCE_MESSAGES_SHARD_STORES: `0-3=${twice}&application_name=other` },
    /shard 0 lies in the database of store\.url/);
});

test('nothing was lost, doubled or told in another order', { skip, timeout: 60_000 }, async () => {
  await storm.connect();
  for (const d of storm.devices) await d.resend();
  for (const d of storm.devices) await d.catchUp();
  let count = 0;
  for (const d of storm.devices) count = Math.max(count, (await d.readAll(storm.group)).length);
  for (const d of storm.devices) await d.close();
  assert.deepEqual(judge(storm.history.records), []);
  assert.ok(count > 10, `${count} messages to judge`);
  const verdict = run(['verify'], { dataDir: storm.server.part('base').dataDir, env: storm.server.engines() });
  assert.equal(verdict.status, 0, verdict.stdout + verdict.stderr);
  assert.match(verdict.stdout, /shards 2-3: \d+ conversations/);
});
