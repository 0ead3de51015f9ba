// About time and numbers: slow clients, more connections than descriptors, limits of rate. Run once, on the plain build.
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { ok, refused } from '../check.mjs';
import { converse, lines } from '../raw.mjs';
import { eventually, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function connect(server) {
  const socket = net.connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise((resolve, reject) => { socket.once('connect', resolve).once('close', reject); });
  return socket;
}

describe('slow clients', () => {
  test('a byte now and then moves no deadline; meanwhile others are served', async () => {
    const server = await startServer();
    const alice = await server.register('alice');
    const from = Date.now();
    const drip = async (first, rest) => {
      const socket = await connect(server);
      const answers = converse(socket, first, { ms: 30_000 });
      let at = 0;
      const timer = setInterval(() => { if (socket.writable) socket.write(rest[at++ % rest.length]); }, 500);
      const result = await answers;
      clearInterval(timer);
      socket.destroy();
      return Object.assign(result, { after: Date.now() - from });
    };
    const head = drip('GET /health HTTP/1.1\r\nHost: x\r\nX-A: ', 'abc');
    const body = drip(lines('POST /api/v1/meetings HTTP/1.1', 'Host: x', 'Content-Type: application/json',
      `Authorization: Bearer ${alice.token}`, 'Content-Length: 60000'), 'abc');
    const silent = (async () => {
      const answers = await converse(await connect(server), '', { ms: 30_000 });
      return Object.assign(answers, { after: Date.now() - from });
    })();
    const unsigned = (async () => {
      const wire = await Signaler.open(server, null);
      return { ...await wire.closed, after: Date.now() - from };
    })();
    let served = 0;
    let isOver = false;
    const others = (async () => {
      while (!isOver) {
        const before = Date.now();
        ok(await alice.get('/api/v1/users/me'));
        assert.ok(Date.now() - before < 3000, 'nobody waits for the slow');
        served += 1;
        await sleep(100);
      }
    })();
    for (const [name, answers] of Object.entries({ head: await head, body: await body })) {
      assert.equal(answers[0]?.status, 408, name);
      assert.equal(answers[0].body.error.code, 'timeout');
      assert.ok(answers.isClosed);
      assert.ok(answers.after > 9000 && answers.after < 25_000, `${name}: ${answers.after} ms`);
    }
    const quiet = await silent;
    assert.ok(quiet.isClosed && quiet.length === 0 && quiet.after < 25_000);
    const wire = await unsigned;
    assert.equal(wire.code, 4408);
    isOver = true;
    await others;
    assert.ok(served >= 20, `${served} requests were served meanwhile`);
    await server.stop();
  });
});

describe('more connections than descriptors', () => {
  test('it says what to raise, serves those who are in, and the others when there is room', async () => {
    const server = await startServer({ wrap: ['prlimit', '--nofile=1024:1024'] });
    assert.ok(server.log.some((line) => line.level === 'warn' && /1024 descriptors/.test(line.msg) && /LimitNOFILE/.test(line.msg)));
    const alice = await server.register('alice');
    const meeting = ok(await alice.post('/api/v1/meetings', { title: 'Crowded' }), 201);
    ok(await alice.post(`/api/v1/meetings/${meeting.id}/join`));
    const wire = await Signaler.open(server, alice);
    await wire.join(meeting);
    const crowd = [];
    for (let i = 0; i < 1500; i++) {
      const socket = net.connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      crowd.push(socket);
      if (i % 100 === 99) await sleep(20);
    }
    await sleep(500);
    assert.equal((await wire.ask('ping')).type, 'pong', 'who is in stays in');
    assert.equal((await wire.ask('raise_hand', { is_raised: true })).type, 'ok');
    assert.equal(server.child.exitCode, null);
    for (const socket of crowd) socket.destroy();
    await eventually(async () => (await fetch(`${server.url}/health`)).status === 200, { ms: 10_000 });
    ok(await alice.get('/api/v1/users/me'));
    wire.close();
    const wrong = server.log.filter((line) => line.level === 'error');
    assert.ok(wrong.length < 20, `the log is not flooded: ${wrong.length} errors`);
    await server.stop({ areErrorsExpected: true });
  });
});

describe('limits of rate', () => {
  test('each person, and each address, has so many requests a minute', async () => {
    const server = await startServer({ env: { PARLANCE_HTTP_RATE_LIMITS: 'true' } });
    const alice = await server.register('alice');
    const bob = await server.register('bob');
    const statuses = [];
    let limited;
    for (let i = 0; i < 130; i++) {
      const reply = await alice.get('/api/v1/users?q=alice');
      statuses.push(reply.status);
      if (reply.status === 429) limited ??= reply;
    }
    const served = statuses.filter((status) => status === 200).length;
    assert.ok(served >= 118 && served < 130, `${served} of 120 a minute`);
    refused(limited, 'resource_exhausted');
    assert.ok(Number(limited.headers.get('retry-after')) >= 1);
    ok(await bob.get('/api/v1/users?q=alice'));
    ok(await alice.get('/api/v1/users/me'));
    await server.stop();
  });
});
