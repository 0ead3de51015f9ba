// The tables on a real database server: it is killed in the middle of sends, freezes, comes back; what was acknowledged
// stays, what was not is refused in time, and search finds words and Chinese characters. (The whole of tests/flow runs over
// one with PARLANCE_TEST_STORE=postgres or mysql, see tests/services/run.mjs.)
//
//   await describeTables({ driver: 'postgres', title: 'PostgreSQL', pidsOf: (service) => [...] });
//
// pidsOf: the processes that stand for a server that freezes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Missing, databaseIn, startService } from '../services/services.mjs';
import { eventually, makeDataDir, run, startServer } from './server.mjs';

async function tryService(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (problem instanceof Missing) return null;
    throw problem;
  }
}

export async function describeTables({ driver, title, pidsOf }) {
  const service = await tryService(driver);
  describe(`tables on ${title}`, { skip: service ? false : `there is no ${title} here` }, () => tables({ driver, service, pidsOf }));
}

function tables({ driver, service, pidsOf }) {
  const dataDir = makeDataDir();
  let env, server, ann, bob, conversation;

  before(async () => {
    env = { PARLANCE_STORE_DRIVER: driver, PARLANCE_STORE_URL: service.url };
    server = await startServer({ dataDir, env });
    [ann, bob] = [await server.register('ann'), await server.register('bob')];
    const first = await send(0);
    assert.equal(first.status, 200, first.text);
    conversation = first.body.message?.conversation_id ?? first.body.conversation_id;
  });

  after(async () => {
    await server?.stop({ areErrorsExpected: true, keepData: true });
    await service.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  function send(n, text = `message number ${n}`) {
    return ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: `key-${n}`, content: { text } });
  }

  const search = async (query) => (await bob.get(`/api/v1/messages/search?query=${encodeURIComponent(query)}`)).body.messages.length;

  test('search finds words, their beginnings and Chinese characters', async () => {
    await send('a', 'The quarterly report is ready');
    await send('b', '季度报告已经准备好了');
    await eventually(async () => assert.equal(await search('quarter'), 1)); // the index follows, one after the other
    await eventually(async () => assert.equal(await search('报告'), 1));
    assert.equal(await search('report quarterly'), 1);
    assert.equal(await search('uarterly'), 0);
    assert.equal(await search("it's a 'quote' & | ! :*"), 0);
  });

  test('killed in the middle of sends it loses nothing that was acknowledged', async () => {
    const acknowledged = [];
    let isOver = false, refused = 0, next = 1;
    const senders = Array.from({ length: 6 }, async () => {
      while (!isOver) {
        const n = next++;
        for (let reply; reply?.status !== 200 && !isOver;) {
          reply = await send(n);
          if (reply.status === 200) acknowledged.push(n);
          else assert.equal(reply.status, 503, reply.text);
          if (reply.status !== 200) {
            refused++;
            await new Promise((resolve) => { setTimeout(resolve, 50); });
          }
        }
      }
    });
    for (let i = 0; i < 3; i++) {
      const had = acknowledged.length;
      await eventually(() => assert.ok(acknowledged.length > had + 30), { ms: 20_000 });
      await service.end('SIGKILL');
      await eventually(async () => assert.equal((await server.client().get('/ready')).status, 503), { ms: 5000 });
      service.start();
      await service.waitReady();
      await eventually(async () => assert.equal((await server.client().get('/ready')).status, 200), { ms: 10_000 });
    }
    isOver = true;
    await Promise.all(senders);
    assert.ok(refused > 0);
    const texts = [];
    for (let before = ''; ;) {
      const page = (await bob.get(`/api/v1/conversations/${conversation}/messages?limit=100${before}`)).body.messages;
      texts.push(...page.map((m) => m.content.text));
      if (page.length < 100) break;
      before = `&before_seq=${page.reduce((least, m) => Math.min(least, Number(m.seq)), Infinity)}`;
    }
    const found = texts.map((text) => Number(/^message number (\d+)$/.exec(text)?.[1])).filter((n) => n > 0);
    assert.equal(new Set(found).size, found.length, 'nothing twice');
    assert.deepEqual(acknowledged.filter((n) => !found.includes(n)), []);
  });

  test('a server that freezes holds nobody up for ever', async () => {
    const pids = pidsOf(service);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const from = Date.now();
    const reply = await Promise.race([send('frozen'), new Promise((resolve) => { setTimeout(resolve, 3000, 'still waiting'); })]);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    assert.ok(reply === 'still waiting' || reply.status >= 500, JSON.stringify(reply));
    await eventually(async () => assert.equal((await send('frozen')).status, 200), { ms: 10_000 });
    assert.ok(Date.now() - from < 15_000);
  });

  test('the logs are whole', async () => {
    await server.stop({ areErrorsExpected: true, keepData: true });
    server = null;
    const verdict = run(['verify'], { dataDir, env });
    assert.match(verdict.stdout, /all is well/, verdict.stdout + verdict.stderr);
  });

  test('what migrate says that it would run does run', () => {
    const own = (url) => ({ PARLANCE_STORE_DRIVER: driver, PARLANCE_STORE_URL: url });
    const empty = own(databaseIn(driver, service, 'not_yet'));
    const status = run(['migrate', 'status'], { dataDir, env: empty });
    assert.match(status.stdout, /^message +at 0 of \d+$/m);
    const shown = run(['migrate', 'up', '--dry-run'], { dataDir, env: empty }).stdout.replace(/^\w+ +at \d+ of .*$/gm, '');
    assert.match(shown, /CREATE TABLE message_terms/);
    const by_hand = databaseIn(driver, service, 'by_hand');
    const { port, username, password } = new URL(by_hand);
    const [program, args] = driver === 'postgres'
      ? ['psql', [by_hand, '-q', '-v', 'ON_ERROR_STOP=1']]
      : ['mariadb', ['--no-defaults', '-h127.0.0.1', `-P${port}`, `-u${username}`, `-p${password}`,
        '--init-command=SET sql_mode="ANSI_QUOTES,STRICT_ALL_TABLES"', 'by_hand']];
    const done = spawnSync(program, args, { input: shown, encoding: 'utf8', timeout: 20_000 });
    assert.equal(done.status, 0, done.stderr);
    assert.equal(run(['migrate', 'up'], { dataDir, env: empty }).status, 0);
    const after = run(['migrate', 'status'], { dataDir, env: empty }).stdout.trim().split('\n');
    assert.deepEqual(after.filter((line) => !line.endsWith('up to date')), []);
  });

  test('what copies SQLite says that it does not copy this', () => {
    const backup = run(['backup', `${dataDir}-copy`], { dataDir, env });
    assert.equal(backup.status, 1);
    assert.match(backup.stderr, /kept by a server/);
  });
}
