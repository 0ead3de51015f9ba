// One server over a real Redis, which freezes, dies and comes back: what goes on meanwhile, what is said of it, and that
// nothing waits for it. And what processes share through it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { ok } from '../check.mjs';
import { eventually, startServer } from '../server.mjs';
import { Talker } from '../talker.mjs';

async function tryService(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (problem instanceof Missing) return null;
    throw problem;
  }
}

const redis = await tryService('redis');

describe('over Redis', { skip: redis ? false : 'there is no redis-server here' }, () => {
  let server, ann, bob, carl;
  let meanwhile = 0;
  const env = {
    PARLANCE_CACHE_TYPE: 'redis',
    PARLANCE_CACHE_URL: redis?.url,
    PARLANCE_EVENT_BUS_TYPE: 'redis',
    PARLANCE_EVENT_BUS_URL: redis?.url,
    PARLANCE_METRICS_PUBLIC: 'true',
  };

  const ready = async () => (await server.client().get('/ready')).body;
  const waitFor = (status) => eventually(async () => (await ready()).status === status, { ms: 10_000 });
  const metric = async (name) => {
    const { text } = await server.client().get('/metrics');
    return Number(text.match(new RegExp(`^${name}(?:{[^}]*})? ([0-9.e+-]+)$`, 'm'))?.[1] ?? NaN);
  };
  const signIn = async (name) => {
    const from = Date.now();
    const reply = await server.client().post('/api/v1/auth/login', { login: name, password: `${name}-password` });
    return { status: reply.status, ms: Date.now() - from };
  };
  const presenceOf = async (user) => ok(await ann.get(`/api/v1/presence/${user.user.id}`));

  before(async () => {
    server = await startServer({ env });
    ann = await server.register('ann');
    bob = await server.register('bob');
    carl = await server.register('carl'); // who is never here
    for (const other of [bob, carl]) {
      ok(await ann.post('/api/v1/contacts', { user_id: other.user.id }));
      ok(await other.post(`/api/v1/contacts/${ann.user.id}/answer`, { is_accepted: true }));
    }
    await waitFor('ready');
  });
  after(async () => {
    await server?.stop({ areErrorsExpected: true });
    await redis.stop();
  });

  // From bob, told to ann's socket.
  async function hears(wire, text) {
    const from = Date.now();
    const sender = await Talker.open(server, bob);
    await sender.ok('send_message', { to_user_id: ann.user.id, client_msg_id: `${text} ${from}`, content: { text } });
    await wire.next('change', (c) => c.type === 'message' && c.message.content.text === text);
    await sender.close();
    assert.ok(Date.now() - from < 2000, 'told at once');
  }

  // While it is away: nothing waits, what can go on goes on, what nobody knows is said to be unknown.
  async function goesOn(wire) {
    await eventually(async () => {
      const { status, checks } = await ready();
      return status === 'degraded' && !checks.cache && !checks.bus && checks.store;
    }, { ms: 10_000 });
    for (let i = 0; i < 3; i++) {
      const { status, ms } = await signIn('ann');
      assert.equal(status, 200);
      assert.ok(ms < 1500, `a sign-in took ${ms} ms`);
    }
    assert.ok(await metric('parlance_throttle_local_total') > 0);
    const seen = await presenceOf(carl);
    assert.deepEqual([seen.is_unknown, seen.status, seen.last_seen_ms], [true, 'offline', 0]);
    await hears(wire, `meanwhile ${meanwhile += 1}`);
    assert.equal(await metric('parlance_redis_up'), 0);
  }

  async function isBack(wire) {
    await waitFor('ready');
    assert.equal(await metric('parlance_redis_up'), 2);
    await eventually(async () => await metric('parlance_bus_outbox_in_flight') === 0, { ms: 10_000 });
    await hears(wire, `after ${meanwhile}`);
    const seen = await presenceOf(carl);
    assert.equal(seen.is_unknown, false);
  }

  test('it is frozen, and goes on', async () => {
    const wire = await Talker.open(server, ann);
    process.kill(redis.pid, 'SIGSTOP');
    try {
      await goesOn(wire);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
    await isBack(wire);
    await wire.close();
  });

  test('it is killed, and starts again on its data', async () => {
    const wire = await Talker.open(server, ann);
    await redis.end('SIGKILL');
    await goesOn(wire);
    redis.start();
    await redis.waitReady();
    await isBack(wire);
    await wire.close();
  });

  test('tries to guess a password are counted by all processes together', async () => {
    const second = await startServer({ env });
    const guess = async (at) => (await at.client().post('/api/v1/auth/login', { login: 'eve', password: 'a guess' })).status;
    let tries = 0;
    while (await guess(server) !== 429) assert.ok((tries += 1) < 50, 'never refused');
    assert.equal(await guess(second), 429);
    await second.stop();
  });
});
