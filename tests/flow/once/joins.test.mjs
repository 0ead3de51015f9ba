// A crowd comes into one group as fast as it can. Who talks there meanwhile is not refused and not slowed into errors; each is
// let in once, or told clearly to come later; and the log of it all has no hole.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { ok } from '../check.mjs';
import { makeDataDir, run, startServer } from '../server.mjs';
import { Talker } from '../talker.mjs';

const PEOPLE = 16;
const SECONDS = Number(process.env.JOINS_SECONDS ?? 4);

// Each joins and leaves until the time is over; how often which status came.
async function come([door, tokens, seconds]) {
  const answers = {};
  const until = Date.now() + seconds * 1000;
  await Promise.all(tokens.map(async (token) => {
    while (Date.now() < until) for (const what of ['join', 'leave']) {
      const reply = await fetch(door + what, { method: 'POST', body: '{}', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
      const { error } = await reply.json();
      const isClear = reply.status !== 429 || (error.message && reply.headers.get('retry-after'));
      const name = isClear ? reply.status : 'unclear';
      answers[name] = (answers[name] ?? 0) + 1;
    }
  }));
  console.log(JSON.stringify(answers));
}

test('a crowd at one door', { timeout: 60_000 }, async () => {
  const env = { PARLANCE_HTTP_RATE_LIMITS: 'true' };
  const dataDir = makeDataDir();
  let server = await startServer({ dataDir });
  const owner = await server.register('owner');
  const other = await server.register('other');
  const group = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'All', join_rule: 'open', user_ids: [other.user.id] }));
  const aside = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'Aside', user_ids: [other.user.id] }));
  const people = [];
  for (let i = 0; i < PEOPLE; i += 1) people.push(await server.register(`guest${i}`));
  await server.stop({ keepData: true });
  server = await startServer({ dataDir, env });
  for (const client of [owner, other, ...people]) client.base = server.url;
  // A process of its own, so that what the others wait for is the server.
  const crowd = spawn(process.execPath, ['-e', `(${come})(${JSON.stringify([`${server.url}/api/v1/groups/${group.id}/`, people.map((c) => c.token), SECONDS])})`]);
  let [told, isOver] = ['', false];
  crowd.stdout.on('data', (text) => { told += text; });
  const ended = new Promise((resolve) => { crowd.once('exit', () => { isOver = true; resolve(); }); });
  const said = { [group.id]: 0, [aside.id]: 0 };
  let slowest = 0;
  const talk = async (client, id) => {
    const wire = await Talker.open(server, client);
    while (!isOver) {
      const from = Date.now();
      await wire.ok('send_message', { conversation_id: id, client_msg_id: `${client.user.username} ${said[id]}`, content: { text: 'meanwhile' } });
      slowest = Math.max(slowest, Date.now() - from);
      said[id] += 1;
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
    await wire.close();
  };
  const talking = [talk(owner, group.id), talk(other, aside.id)];
  await Promise.all([ended, ...talking]);
  const answers = JSON.parse(told);
  assert.deepEqual(Object.keys(answers).filter((status) => !['200', '429'].includes(status)), [], told);
  assert.ok(answers[200] > 100, told);
  for (const [client, id] of [[owner, group.id], [other, aside.id]]) {
    const now = ok(await client.get(`/api/v1/conversations/${id}`));
    assert.equal(now.last_seq, said[id]);
    let rev = 0;
    for (let more = true; more;) {
      const list = ok(await client.get(`/api/v1/conversations/${id}/changes?after_rev=${rev}&limit=500`));
      for (const change of list.changes) {
        assert.equal(change.rev, rev + 1);
        rev = change.rev;
      }
      more = list.has_more;
    }
    assert.equal(rev, now.rev);
  }
  await server.stop({ keepData: true });
  const verdict = run(['verify'], { dataDir });
  assert.equal(verdict.status, 0, verdict.stderr);
  rmSync(dataDir, { recursive: true, force: true });
  console.log(`# ${told.trim()}; ${said[group.id]} + ${said[aside.id]} messages meanwhile, the slowest ${slowest} ms`);
});
