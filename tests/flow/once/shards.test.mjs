// Conversations in shards over two message services and two gateways: routed to their owner, taken over when it is killed or
// freezes, given away when it stops. What people wrote down meanwhile is judged (history.mjs).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { judge } from '../history.mjs';
import { run } from '../server.mjs';
import { PartStorm, ownedBy, until } from '../part_storm.mjs';
import { pause } from '../sharded.mjs';
import { Talker } from '../talker.mjs';

const engines = [];
let skip = false;
try {
  for (const name of ['postgres', 'redis']) {
    const engine = await startService(name);
    engines.push(engine);
    process.env[`PARLANCE_TEST_${name.toUpperCase()}_URL`] = engine.url;
  }
} catch (problem) {
  if (!(problem instanceof Missing)) throw problem;
  skip = `without PostgreSQL or Redis: ${problem.message}`;
}
const SHARDS = 4;
const ROUNDS = Number(process.env.ROUNDS ?? 1);

let storm;
const names = ['message-0', 'message-1'];
const parts = () => names.map((name) => storm.server.part(name));
const areSpread = () => until(() => parts().every((part) => ownedBy(part) === SHARDS / 2), 'each owns its half');

before(async () => {
  if (!skip) storm = await new PartStorm({ shards: SHARDS }).begin();
});
after(async () => {
  try {
    await storm?.server?.stop({ areErrorsExpected: true });
  } finally {
    for (const engine of engines) await engine.stop();
  }
});

test('shards are spread, and a message reaches who sits at the other gateway', { skip }, async () => {
  await areSpread();
  const [ann, bob] = storm.devices;
  const a = await Talker.open(storm.server.gateways[0], ann.client);
  const b = await Talker.open(storm.server.gateways[1], bob.client);
  let last;
  for (let i = 0; i < 2 * SHARDS; i += 1) {
    const { body } = await ann.client.post('/api/v1/groups', { kind: 'group', title: `g${i}`, user_ids: [bob.user] });
    const said = await a.say(body.id, `to ${i}`);
    const heard = await b.next('change', (c) => c.type === 'message' && c.conversation_id === body.id);
    assert.equal(heard.message.seq, said.seq);
    last = body.id;
  }
  const { cursor } = await b.ok('sync', { cursor: '' });
  assert.equal(cursor.split(',').length, SHARDS);
  await a.say(last, 'one more');
  const moved = await b.ok('sync', { cursor });
  assert.deepEqual([moved.is_reset, moved.conversations.map((c) => c.id)], [false, [last]]);
  const heads = await b.ok('ping', { cursor });
  assert.deepEqual([heads.is_behind, heads.heads.map((h) => h.conversation_id)], [false, [last]]);
  await a.close();
  await b.close();
});

// Psql counts the fences up under their owners' hands: not one commit may pass that began under the old ones.
test('a commit under a fence that stands no more fails, and the send is made again', { skip, timeout: 60_000 }, async () => {
  await areSpread();
  const [ann] = storm.devices;
  const { body } = await ann.client.post('/api/v1/groups', { kind: 'group', title: 'fenced', user_ids: [] });
  const a = await Talker.open(storm.server.gateways[1], ann.client);
  const steal = 'UPDATE message_shards SET fence = fence + 1, owner = \'nobody:1\'';
  const failed = () => parts().flatMap((part) => part.log).filter(({ msg }) => /was taken by another process/.test(msg)).length;
  for (let seq = 1; seq <= 8; seq += 1) {
    execFileSync('psql', [storm.server.database, '-qc', steal]);
    const said = await a.say(body.id, `fenced ${seq}`);
    assert.deepEqual([said.seq, said.is_duplicate], [seq, false]);
  }
  assert.ok(failed() > 0, 'a commit found its fence gone');
  await a.close();
});

test('who is stopped gives its shards away, and no request fails', { skip, timeout: 60_000 }, async () => {
  await areSpread();
  const failed = [];
  storm.onRefused = (code) => failed.push(code);
  await storm.through(async () => {
    await storm.server.part('message-1').stop({ keepData: true });
    await until(() => ownedBy(storm.server.part('message-0')) === SHARDS, 'the other one owns all');
  });
  assert.deepEqual(failed, []);
  storm.onRefused = null;
  await storm.server.startMessage(1);
  await areSpread();
});

test('who is killed is passed over within seconds', { skip, timeout: 60_000 * ROUNDS }, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    await areSpread();
    const from = Date.now();
    await storm.through(async () => {
      await storm.server.part('message-1').stop({ signal: 'SIGKILL', keepData: true });
      await until(() => ownedBy(storm.server.part('message-0')) === SHARDS, 'the other one owns all');
    });
    assert.ok(Date.now() - from < 20_000);
    await storm.server.startMessage(1);
  }
});

test('who was frozen and wakes up again writes nothing', { skip, timeout: 90_000 * ROUNDS }, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    await areSpread();
    const zombie = storm.server.part('message-1');
    await storm.through(async () => {
      zombie.child.kill('SIGSTOP');
      await until(() => ownedBy(storm.server.part('message-0')) === SHARDS, 'the other one owns all');
      await pause(500);
      zombie.child.kill('SIGCONT');
    });
  }
  await areSpread();
});

test('nothing was lost, doubled or told in another order', { skip, timeout: 60_000 }, async () => {
  await storm.connect();
  for (const d of storm.devices) await d.resend();
  for (const d of storm.devices) await d.catchUp();
  let count = 0;
  for (const d of storm.devices) count = Math.max(count, (await d.readAll(storm.group)).length);
  for (const d of storm.devices) await d.close();
  assert.deepEqual(judge(storm.history.records), []);
  assert.ok(count > 100, `${count} messages to judge`);
  const base = storm.server.part('base');
  const verdict = run(['verify'], { dataDir: base.dataDir, env: storm.server.engines() });
  assert.equal(verdict.status, 0, verdict.stdout + verdict.stderr);
  console.log(`# ${count} messages, ${storm.history.records.length} records`);
});
