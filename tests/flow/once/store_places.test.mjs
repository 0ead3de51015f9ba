// A database in several places: a standby that answers reads which may be a moment old, and takes over when the primary is
// killed (with synchronous replication nothing that was acknowledged is lost); and connections by TLS that prove the server.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Missing, startService, startStandby } from '../../services/services.mjs';
import { eventually, makeDataDir, run, startServer } from '../server.mjs';

async function attempt(start) {
  try {
    return await start();
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    console.error(`skipped: ${problem.message}`);
    return null;
  }
}

const primary = await attempt(() => startService('postgres', { settings: ['synchronous_standby_names=*'] }));
const standby = primary && await startStandby(primary);

describe('a primary and its standby', { skip: !primary && 'there is no PostgreSQL here' }, () => {
  const dataDir = makeDataDir();
  let server, ann, bob, conversation;
  const acknowledged = [];

  before(async () => {
    const both = `postgres://parlance:${primary.password}@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres`;
    server = await startServer({
      dataDir,
      env: { PARLANCE_STORE_DRIVER: 'postgres', PARLANCE_STORE_URL: both, PARLANCE_STORE_REPLICAS: standby.url },
    });
    [ann, bob] = [await server.register('ann'), await server.register('bob')];
  });

  after(async () => {
    await server?.stop({ areErrorsExpected: true, keepData: true });
    await standby.stop();
    await primary.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  // ALTER SYSTEM is no transaction: psql sends two.
  function setCommit(value) {
    primary.sql(`ALTER SYSTEM SET synchronous_commit = '${value}'`);
    assert.equal(primary.sql('SELECT pg_reload_conf()').stdout.trim(), 't');
  }

  async function send(n) {
    const reply = await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: `key-${n}`, content: { text: `number ${n}` } });
    if (reply.status === 200) acknowledged.push(n);
    return reply;
  }

  const history = (query) => bob.get(`/api/v1/conversations/${conversation}/messages?limit=100${query}`);
  async function readsOf(place) {
    const text = (await server.client().get('/metrics')).text;
    return Number(new RegExp(`parlance_store_replica_reads_total\\{place="${place}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  }

  test('search and old pages come from the standby, and never less than was there', async () => {
    for (let n = 0; n < 60; n++) {
      const reply = await send(n);
      assert.equal(reply.status, 200, reply.text);
      conversation = reply.body.message?.conversation_id ?? reply.body.conversation_id;
    }
    await eventually(async () => assert.equal((await bob.get('/api/v1/messages/search?query=59')).body.messages.length, 1), { ms: 5000 });
    const page = (await history('&before_seq=50')).body.messages;
    assert.equal(page.length, 49);
    assert.ok(await readsOf('replica') >= 2);
    // one that stands still: what it lacks is read where it is
    assert.equal(standby.sql('SELECT pg_wal_replay_pause()').status, 0);
    setCommit('local');
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    for (let n = 60; n < 70; n++) assert.equal((await send(n)).status, 200);
    const had = await readsOf('primary');
    assert.equal((await history('&before_seq=69')).body.messages.length, 68);
    assert.equal(await readsOf('primary'), had + 1);
    standby.sql('SELECT pg_wal_replay_resume()');
    setCommit('on');
    await new Promise((resolve) => { setTimeout(resolve, 300); });
  });

  test('who has just changed something does not look at the standby', async () => {
    const path = `/api/v1/conversations/${conversation}/messages/5`;
    const changed = await ann.put(path, { content: { text: 'changed' } });
    const had = await readsOf('replica');
    const page = (await ann.get(`/api/v1/conversations/${conversation}/messages?limit=100&before_seq=20`)).body.messages;
    if (changed.status === 200) assert.equal(page.find((m) => Number(m.seq) === 5).content.text, 'changed');
    assert.equal(await readsOf('replica'), had);
  });

  test('the standby takes over, and nothing that was acknowledged is gone', async () => {
    let isOver = false, next = 100;
    const senders = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const reply = await send(next++);
        if (reply.status !== 200) await new Promise((resolve) => { setTimeout(resolve, 100); });
      }
    });
    await eventually(() => assert.ok(acknowledged.length > 150), { ms: 20_000 });
    await primary.end('SIGKILL');
    await eventually(async () => assert.equal((await server.client().get('/ready')).status, 503), { ms: 10_000 });
    assert.equal(standby.sql('SELECT pg_promote()').stdout.trim(), 't');
    await eventually(async () => assert.equal((await server.client().get('/ready')).status, 200), { ms: 15_000 });
    const had = acknowledged.length;
    await eventually(() => assert.ok(acknowledged.length > had + 20), { ms: 15_000 });
    isOver = true;
    await Promise.all(senders);
    const found = new Set();
    for (let query = ''; ;) {
      const page = (await history(query)).body.messages;
      for (const m of page) found.add(Number(/^number (\d+)$/.exec(m.content.text)?.[1]));
      if (page.length < 100) break;
      query = `&before_seq=${page.reduce((least, m) => Math.min(least, Number(m.seq)), Infinity)}`;
    }
    assert.deepEqual(acknowledged.filter((n) => n !== 4 && !found.has(n)), []);
  });
});

for (const [driver, title, withCa, wrong] of [
  ['postgres', 'PostgreSQL', (ca) => `?sslmode=verify-full&sslrootcert=${ca}`, 'certificate verify failed'],
  ['mysql', 'MariaDB', (ca) => `?ssl-ca=${ca}`, 'certificate'],
]) {
  const service = await attempt(() => startService(driver, { tls: true }));
  describe(`${title} by TLS`, { skip: !service && `there is no ${title} here` }, () => {
    const dataDir = makeDataDir();
    after(async () => {
      await service.stop();
      rmSync(dataDir, { recursive: true, force: true });
    });

    test('a server that proves itself is used', async () => {
      const env = { PARLANCE_STORE_DRIVER: driver, PARLANCE_STORE_URL: service.url + withCa(service.ca) };
      const server = await startServer({ dataDir, env });
      const ann = await server.register('ann');
      assert.equal((await ann.get('/api/v1/users/me')).status, 200);
      const lines = driver === 'postgres'
        ? service.sql("SELECT COUNT(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'parlance' AND NOT s.ssl").stdout
        : '0';
      assert.equal(lines.trim(), '0');
      await server.stop({ keepData: true });
    });

    test('one that does not is refused', () => {
      const env = { PARLANCE_STORE_DRIVER: driver, PARLANCE_STORE_URL: service.url + withCa('/etc/ssl/certs/ca-certificates.crt') };
      const answer = run(['migrate', 'status'], { dataDir, env });
      assert.equal(answer.status, 1);
      assert.match(answer.stdout + answer.stderr, new RegExp(wrong, 'i'));
    });
  });
}
