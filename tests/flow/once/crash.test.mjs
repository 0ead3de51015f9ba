// The crash harness: people talk while the server is killed (SIGKILL) again and again at moments nobody chose. From what the
// clients wrote down themselves: every acknowledged message is there once, where it was acknowledged, in order, without a hole,
// to every member and every device that catches up; what was in doubt is there once or not at all, and once after its retry.
// CRASHES says how often (make soak: hundreds).
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { ok } from '../check.mjs';
import { eventually, makeDataDir, run, startServer } from '../server.mjs';
import { Talker } from '../talker.mjs';

const CRASHES = Number(process.env.CRASHES ?? 6);
const NAMES = ['ann', 'bob', 'cleo', 'dan'];

// One person's device: sends without end, notes what was acknowledged, repeats what was in doubt.
class Chatter {
  constructor(client, group) {
    Object.assign(this, { client, group, acknowledged: new Map(), doubtful: null, count: 0, cursor: '', seen: [] });
  }

  async connect(server) {
    this.wire = await Talker.open(server, this.client);
    const held = this.seen.at(-1)?.rev ?? 0;
    for (let after = held, more = true; more;) {
      const list = await this.wire.ok('get_changes', { id: this.group, after_rev: after, limit: 500 });
      for (const change of list.changes) {
        assert.equal(change.prev_rev, this.seen.at(-1)?.rev ?? 0, 'no hole for a device that comes back');
        this.seen.push(change);
      }
      [after, more] = [list.rev, list.has_more];
    }
    this.wire.events = this.wire.events.filter((e) => !e.change); // from here on only by catching up
  }

  async talk() {
    for (;;) {
      this.doubtful ??= `${this.client.user.username}-${this.count += 1}`;
      let sent;
      try {
        sent = await this.wire.say(this.group, this.doubtful, this.doubtful);
      } catch { return; } // the server is gone; whether it was written is not known
      assert.ok(!this.acknowledged.has(sent.seq));
      this.acknowledged.set(sent.seq, this.doubtful);
      this.doubtful = null;
    }
  }
}

async function allMessages(wire, group) {
  const all = [];
  for (let has = true; has;) {
    const page = await wire.ok('get_message_history', { id: group, after_seq: all.length || undefined, before_seq: all.length ? undefined : 1e9, limit: 200 });
    if (!all.length && page.has_older) {
      const first = await wire.ok('get_message_history', { id: group, around_seq: 1, limit: 200 });
      all.push(...first.messages);
      has = first.has_newer;
    } else {
      all.push(...page.messages);
      has = page.has_newer;
    }
  }
  return all;
}

function judge(messages, chatters) {
  assert.deepEqual(messages.map((m) => m.seq), messages.map((_, i) => i + 1), 'contiguous from 1');
  const keys = messages.map((m) => m.client_msg_id);
  assert.equal(new Set(keys).size, keys.length, 'nothing stands twice');
  for (const chatter of chatters) {
    for (const [seq, key] of chatter.acknowledged) assert.equal(keys[seq - 1], key, 'where it was acknowledged');
    const own = messages.filter((m) => m.sender_id === chatter.client.user.id).map((m) => Number(m.client_msg_id.split('-')[1]));
    assert.deepEqual(own, own.map((_, i) => i + 1), 'in the order in which it was said');
    assert.ok(own.length - chatter.acknowledged.size <= 1, 'at most the one in doubt is more');
  }
}

test('the judge is awake', () => {
  const ann = { client: { user: { id: 'a' } }, acknowledged: new Map([[1, 'a-1'], [3, 'a-2']]) };
  const bob = { client: { user: { id: 'b' } }, acknowledged: new Map([[2, 'b-1']]) };
  const sound = [['a', 'a-1'], ['b', 'b-1'], ['a', 'a-2'], ['b', 'b-2']]
    .map(([sender_id, client_msg_id], i) => ({ seq: i + 1, sender_id, client_msg_id }));
  judge(sound, [ann, bob]);
  const renumbered = (list) => list.map((m, i) => ({ ...m, seq: i + 1 }));
  const damages = {
    'a hole': sound.filter((m) => m.seq !== 2),
    'an acknowledged one lost, the rest moved up': renumbered(sound.filter((m) => m.seq !== 2)),
    'the last acknowledged ones lost': sound.slice(0, 2),
    'one twice': renumbered([...sound, sound[1]]),
    'two in each other\'s place': renumbered([sound[2], sound[1], sound[0], sound[3]]),
    'another\'s name upon it': sound.map((m) => (m.seq === 2 ? { ...m, sender_id: 'a' } : m)),
    'two that nobody was told of': renumbered([...sound, { sender_id: 'b', client_msg_id: 'b-3' }]),
  };
  for (const [what, messages] of Object.entries(damages))
    assert.throws(() => judge(messages, [ann, bob]), assert.AssertionError, what);
});

test(`${CRASHES} kills under load`, { timeout: 60_000 + CRASHES * 15_000 }, async () => {
  const dataDir = makeDataDir();
  let server = await startServer({ dataDir });
  const clients = [];
  for (const name of NAMES) clients.push(await server.register(name));
  const { id } = ok(await clients[0].post('/api/v1/groups',
    { kind: 'group', title: 'Storm', user_ids: clients.slice(1).map((c) => c.user.id) }), 201);
  const chatters = clients.map((client) => new Chatter(client, id));

  for (let crash = 0; crash < CRASHES; crash += 1) {
    await Promise.all(chatters.map((c) => c.connect(server)));
    const before = chatters[0].acknowledged.size;
    const talking = chatters.map((c) => c.talk());
    await eventually(() => chatters[0].acknowledged.size > before, { ms: 10_000 });
    await new Promise((resolve) => { setTimeout(resolve, Math.random() * 400); });
    await server.stop({ signal: 'SIGKILL' });
    await Promise.all(talking);
    server = await startServer({ dataDir });
  }

  await Promise.all(chatters.map((c) => c.connect(server)));
  for (const chatter of chatters) { // what was in doubt is repeated, and then there once
    if (!chatter.doubtful) continue;
    const { seq } = await chatter.wire.say(id, chatter.doubtful, chatter.doubtful);
    chatter.acknowledged.set(seq, chatter.doubtful);
  }
  const messages = await allMessages(chatters[0].wire, id);
  judge(messages, chatters);
  for (const chatter of chatters.slice(1))
    assert.deepEqual((await allMessages(chatter.wire, id)).map((m) => m.id), messages.map((m) => m.id));
  for (const chatter of chatters) {
    await chatter.wire.close();
    await chatter.connect(server);
    const seen = chatter.seen.filter((c) => c.type === 'message').map((c) => c.message.id);
    assert.deepEqual(seen, messages.map((m) => m.id), 'a device that only ever caught up has all of it');
    await chatter.wire.close();
  }
  await server.stop();
  const verdict = run(['verify'], { dataDir });
  assert.equal(verdict.status, 0, verdict.stderr);
  rmSync(dataDir, { recursive: true, force: true });
  console.log(`# ${messages.length} messages through ${CRASHES} kills`);
});
