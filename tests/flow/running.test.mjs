// Running it: headers, who may register, restarts and kills, draining, configuration, TLS and its certificate, proxies.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { describe, test } from 'node:test';
import { eventuallyOk, ok, refused } from './check.mjs';
import { onlyWhole } from './deployment.mjs';
import { converse, lines } from './raw.mjs';
import { environment, eventually, makeDataDir, run, startServer } from './server.mjs';
import { Signaler } from './signaler.mjs';

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// A server that is stopped, and a directory that is removed, whatever happens to the test.
async function withServer({ dataDir = makeDataDir(), ...options }, check) {
  const server = await startServer({ ...options, dataDir });
  try {
    await check(server, dataDir);
    if (server.child.exitCode === null && server.child.signalCode === null) await server.stop();
  } finally {
    server.child.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  }
}

describe('what pages get', () => {
  test('every answer carries the headers that protect it', async () => {
    await withServer({ env: { ALLOWED_ORIGINS: 'https://app.example' } }, async (server) => {
      const page = await fetch(server.url);
      assert.match(page.headers.get('content-security-policy'), /default-src/);
      assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
      assert.ok(page.headers.get('referrer-policy'));
      assert.equal(page.headers.get('strict-transport-security'), null, 'only under TLS');
      const ask = (origin, method = 'OPTIONS') => fetch(`${server.url}/api/v1/auth/login`, { method, headers: { origin,
        'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' } });
      const allowed = await ask('https://app.example');
      assert.equal(allowed.status, 204);
      assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
      assert.equal(allowed.headers.get('access-control-allow-credentials'), 'true');
      assert.match(allowed.headers.get('access-control-allow-methods'), /POST/);
      assert.equal((await ask('https://evil.example')).headers.get('access-control-allow-origin'), null);
      assert.equal((await ask('null')).headers.get('access-control-allow-origin'), null);
    });
  });
});

describe('who may register', () => {
  test('nobody where it is closed; accounts are made on the machine', async () => {
    const dataDir = makeDataDir();
    const env = { PARLANCE_AUTH_REGISTRATION: 'closed' };
    const made = run(['user', 'create', 'root', '--admin'], { dataDir, env, input: 'made on the machine\n' });
    assert.equal(made.status, 0, made.stderr);
    await withServer({ env, dataDir }, async (server) => {
      const admin = await server.client().signIn('root', 'made on the machine');
      assert.equal(admin.user.role, 'admin');
      const late = run(['user', 'create', 'later'], { dataDir, env, input: 'made beside the server\n' });
      assert.equal(late.status, 0, late.stderr);
      await server.client().signIn('later', 'made beside the server');
      refused(await server.client().post('/api/v1/auth/register', { username: 'late', password: 'long enough' }), 'permission_denied');
    });
  });

  test('who has an invitation, once', async () => {
    await withServer({ env: { PARLANCE_AUTH_REGISTRATION: 'invitation' } }, async (server) => {
      const admin = await server.register('root');
      const sign = (username, invitation) => server.client().post('/api/v1/auth/register', { username, password: 'long enough', invitation });
      refused(await sign('nobody', ''), 'permission_denied');
      refused(await sign('nobody', 'made-up'), 'permission_denied');
      const { code } = ok(await admin.post('/api/v1/invitations', { email: 'friend@example.org' }), 201);
      ok(await sign('somebody', code), 201);
      refused(await sign('another', code), 'permission_denied');
      const second = ok(await admin.post('/api/v1/invitations'), 201);
      ok(await admin.delete(`/api/v1/invitations/${second.code}`));
      refused(await sign('another', second.code), 'permission_denied');
      assert.ok(ok(await admin.get('/api/v1/invitations')).invitations.length >= 1);
    });
  });
});

describe('stopping and starting', () => {
  test('what was acknowledged is there after a restart: accounts, sign-ins, meetings, keys', async () => {
    await withServer({}, async (server, dataDir) => {
      const alice = await server.register('alice', { email: 'alice@example.org' });
      const gone = await server.client().signIn('alice', 'alice-password');
      ok(await gone.post('/api/v1/auth/logout'));
      const meeting = ok(await alice.post('/api/v1/meetings', { title: 'Kept', password: 'sesame' }), 201);
      ok(await alice.post(`/api/v1/meetings/${meeting.id}/join`));
      const link = ok(await alice.post(`/api/v1/meetings/${meeting.id}/invitations`, { uses_max: 1 }), 201);
      await server.stop({ keepData: true });
      const again = await startServer({ dataDir });
      try {
        alice.base = again.url;
        assert.equal(ok(await alice.get('/api/v1/users/me')).email, 'alice@example.org', 'the token is still good');
        gone.base = again.url;
        refused(await gone.get('/api/v1/users/me'), 'unauthenticated');
        refused(await again.client().post('/api/v1/auth/refresh', { refresh_token: gone.refreshToken }), 'unauthenticated');
        const kept = ok(await alice.get(`/api/v1/meetings/${meeting.id}`));
        assert.equal(kept.title, 'Kept');
        assert.equal(kept.has_password, true);
        const guest = again.client();
        ok(await guest.post(`/api/v1/meetings/${meeting.id}/join`, { name: 'Gast', invitation: link.token }));
        ok(await again.client().post('/api/v1/auth/refresh', { refresh_token: alice.refreshToken }));
        assert.ok(ok(await alice.get('/api/v1/audit?action=login')).entries.length >= 2);
      } finally {
        await again.stop({ keepData: true });
      }
    });
  });

  test('nor does a kill in the midst of writing lose what was acknowledged', async () => {
    await withServer({}, async (server, dataDir) => {
      let running = server;
      const kept = new Map();
      const alice = await server.register('alice');
      for (let round = 0; round < 3; round++) {
        let isOver = false;
        const write = async (n) => {
          for (let i = 0; !isOver; i++) {
            const title = `round ${round} writer ${n} number ${i}`;
            const reply = await alice.post('/api/v1/meetings', { title }).catch(() => null);
            if (reply?.status === 201) kept.set(reply.body.id, title);
          }
        };
        const writers = [0, 1, 2, 3].map(write);
        await eventually(() => kept.size >= (round + 1) * 20);
        await running.stop({ signal: 'SIGKILL', keepData: true });
        isOver = true;
        await Promise.all(writers);
        running = await startServer({ dataDir });
        alice.base = running.url;
        for (const [id, title] of kept) assert.equal(ok(await alice.get(`/api/v1/meetings/${id}`)).title, title);
      }
      await running.stop({ keepData: true });
    });
  });

  test('SIGTERM: sockets are told to come back, requests end, then it is over', { skip: onlyWhole }, async () => {
    await withServer({}, async (server, dataDir) => {
      const alice = await server.register('alice');
      const meeting = ok(await alice.post('/api/v1/meetings', { title: 'Drained' }), 201);
      ok(await alice.post(`/api/v1/meetings/${meeting.id}/join`));
      const wire = await Signaler.open(server, alice);
      const room = await wire.join(meeting);
      const half = net.connect(server.port, '127.0.0.1');
      const body = JSON.stringify({ title: 'Half way' });
      half.write(lines('POST /api/v1/meetings HTTP/1.1', 'Host: x', 'Content-Type: application/json',
        `Authorization: Bearer ${alice.token}`, `Content-Length: ${body.length}`) + body.slice(0, 5));
      await sleep(100);
      server.child.kill('SIGTERM');
      const told = await wire.next('server_closing');
      assert.ok(told.retry_after_ms >= 500 && told.retry_after_ms <= 3000);
      await wire.ends(1001);
      await eventually(() => assert.rejects(fetch(`${server.url}/health`))); // sockets are told before the listeners close
      const answers = await converse(half, body.slice(5));
      assert.equal(answers[0]?.status, 201, 'what was begun is ended');
      assert.equal(answers[0].headers.get('connection'), 'close');
      assert.deepEqual(await server.exited, { code: 0, signal: null });
      await assert.rejects(fetch(`${server.url}/health`));
      const again = await startServer({ dataDir });
      try {
        const back = await Signaler.open(again, alice);
        assert.equal((await back.join(meeting, { resumeToken: room.resume_token })).is_resumed, false);
        assert.equal(ok(await alice.get.call(Object.assign(alice, { base: again.url }), `/api/v1/meetings/${answers[0].body.id}`)).title, 'Half way');
        back.close();
      } finally {
        await again.stop({ keepData: true });
      }
    });
  });

  test('a second server on the same data, or on a taken port, says what is wrong', { skip: onlyWhole }, async () => {
    await withServer({}, async (server, dataDir) => {
      const twice = run(['serve'], { dataDir });
      assert.notEqual(twice.status, 0);
      assert.match(twice.stderr, /data|lock|running/i);
      const elsewhere = makeDataDir();
      const taken = run(['serve'], { dataDir: elsewhere, env: { PARLANCE_HTTP_PORT: String(server.port) } });
      assert.notEqual(taken.status, 0);
      assert.match(taken.stderr, new RegExp(`port ${server.port} is taken`));
      rmSync(elsewhere, { recursive: true, force: true });
      assert.equal((await fetch(`${server.url}/health`)).status, 200);
    });
  });

  test('the secret it makes is for itself alone, and a bad configuration is refused', { skip: onlyWhole }, async () => {
    await withServer({}, async (server, dataDir) => {
      const secrets = ['jwt.secret', 'secret.key', 'jwt_secret'].map((name) => path.join(dataDir, name));
      const found = run(['version']).status === 0 && secrets.find((file) => statSync(file, { throwIfNoEntry: false }));
      assert.ok(found, 'a secret in the data directory');
      assert.equal(statSync(found).mode & 0o777, 0o600);
      assert.equal(statSync(dataDir).mode & 0o077, 0);
      assert.ok(!(server.output + server.errors).includes(readFileSync(found, 'utf8').trim()));
    });
    for (const [env, pattern] of [
      [{ PARLANCE_HTTP_PORT: 'many' }, /PARLANCE_HTTP_PORT/], [{ PARLANCE_AUTH_REGISTRATION: 'sometimes' }, /open.*closed/s],
      [{ JWT_SECRET: 'short' }, /32/], [{ PARLANCE_TLS_ENABLED: 'true', PARLANCE_TLS_CERT: '/nowhere.pem' }, /tls/],
    ]) {
      const dataDir = makeDataDir();
      const bad = run(['serve'], { dataDir, env });
      assert.notEqual(bad.status, 0, JSON.stringify(env));
      assert.match(bad.stderr, pattern);
      rmSync(dataDir, { recursive: true, force: true });
    }
    assert.ok(environment('x').PARLANCE_DATA_DIR);
  });
});

describe('TLS', { skip: onlyWhole }, () => {
  const ask = (server, target, ca) => new Promise((resolve, reject) => {
    https.get(server.httpsUrl + target, { ca, servername: 'localhost', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response));
    }).on('error', reject);
  });
  const serial = (server) => new Promise((resolve, reject) => {
    const socket = tls.connect({ port: server.tlsPort, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    }).on('error', reject);
  });

  test('a certificate of its own, for localhost; HSTS, Secure cookies, wss', async () => {
    await withServer({ env: { PARLANCE_TLS_ENABLED: 'true' } }, async (server, dataDir) => {
      const ca = readFileSync(path.join(dataDir, 'tls/fullchain.pem'));
      assert.equal(statSync(path.join(dataDir, 'tls/privkey.pem')).mode & 0o777, 0o600);
      const health = await ask(server, '/health', ca);
      assert.equal(health.statusCode, 200);
      assert.match((await ask(server, '/', ca)).headers['strict-transport-security'], /max-age=\d{7,}/);
      const alice = await server.register('alice');
      const login = await new Promise((resolve, reject) => {
        const request = https.request(`${server.httpsUrl}/api/v1/auth/login`,
          { method: 'POST', ca, servername: 'localhost', agent: false, headers: { 'content-type': 'application/json' } }, resolve);
        request.on('error', reject).end(JSON.stringify({ login: 'alice', password: 'alice-password' }));
      });
      login.resume();
      for (const cookie of login.headers['set-cookie']) assert.match(cookie, /; Secure/);
      const wire = await Signaler.open(server, alice, { base: `wss://localhost:${server.tlsPort}`, ca });
      assert.equal((await wire.ask('ping')).type, 'pong');
      wire.close();
      for (const version of ['TLSv1', 'TLSv1.1']) {
        await assert.rejects(new Promise((resolve, reject) => {
          tls.connect({ port: server.tlsPort, host: '127.0.0.1', rejectUnauthorized: false, minVersion: version, maxVersion: version,
            ciphers: 'DEFAULT@SECLEVEL=0' }, resolve).on('error', reject);
        }), undefined, version);
      }
    });
  });

  test('SIGHUP reads a new certificate, new connections get it, old ones live; a broken one changes nothing', async () => {
    await withServer({ env: { PARLANCE_TLS_ENABLED: 'true' } }, async (other, otherDir) => {
      const dir = makeDataDir();
      const files = { PARLANCE_TLS_CERT: path.join(dir, 'fullchain.pem'), PARLANCE_TLS_KEY: path.join(dir, 'privkey.pem') };
      const install = (from) => {
        copyFileSync(path.join(from, 'tls/fullchain.pem'), files.PARLANCE_TLS_CERT);
        copyFileSync(path.join(from, 'tls/privkey.pem'), files.PARLANCE_TLS_KEY);
      };
      install(otherDir);
      await withServer({ env: { PARLANCE_TLS_ENABLED: 'true' } }, async (third, thirdDir) => {
        await withServer({ env: { PARLANCE_TLS_ENABLED: 'true', ...files } }, async (server) => {
          const first = await serial(server);
          assert.equal(first, await serial(other));
          const alice = await server.register('alice');
          const wire = await Signaler.open(server, alice, { base: `wss://127.0.0.1:${server.tlsPort}`, rejectUnauthorized: false });
          install(thirdDir);
          server.child.kill('SIGHUP');
          await eventuallyOk(async () => assert.equal(await serial(server), await serial(third)));
          assert.equal((await wire.ask('ping')).type, 'pong');
          writeFileSync(files.PARLANCE_TLS_CERT, 'nonsense');
          server.child.kill('SIGHUP');
          await eventuallyOk(() => assert.ok(server.log.some((line) => line.level === 'error' && /certificate/.test(line.msg))));
          assert.equal(await serial(server), await serial(third));
          wire.close();
          await server.stop({ areErrorsExpected: true });
        });
      });
      rmSync(dir, { recursive: true, force: true });
    });
  });

  test('plain HTTP on the TLS port, and half a handshake, disturb nobody', async () => {
    await withServer({ env: { PARLANCE_TLS_ENABLED: 'true' } }, async (server, dataDir) => {
      const plain = net.connect(server.tlsPort, '127.0.0.1');
      plain.on('error', () => {});
      plain.write(lines('GET / HTTP/1.1', 'Host: x'));
      const half = net.connect(server.tlsPort, '127.0.0.1');
      half.write(Buffer.from([0x16, 0x03, 0x01, 0x02]));
      await eventually(() => plain.destroyed || plain.readableEnded);
      assert.equal((await ask(server, '/health', readFileSync(path.join(dataDir, 'tls/fullchain.pem')))).statusCode, 200);
      half.destroy();
    });
  });
});

describe('behind a proxy', () => {
  test('a named proxy is believed, another is not', async () => {
    const tell = async (env, headers) => {
      let seen;
      await withServer({ env }, async (server) => {
        const client = server.client();
        const login = ok(await client.post('/api/v1/auth/register', { username: 'root', password: 'long enough' }, { headers }), 201);
        client.token = login.access_token;
        seen = ok(await client.get('/api/v1/auth/sessions')).sessions[0].remote_addr;
      });
      return seen;
    };
    const headers = { 'x-forwarded-for': '198.51.100.66, 203.0.113.5' };
    assert.equal(await tell({}, headers), '127.0.0.1');
    assert.equal(await tell({ PARLANCE_HTTP_TRUSTED_PROXIES: '127.0.0.1' }, headers), '203.0.113.5');
    assert.equal(await tell({ PARLANCE_HTTP_TRUSTED_PROXIES: '127.0.0.1,203.0.113.0/24' }, headers), '198.51.100.66');
    assert.equal(await tell({ PARLANCE_HTTP_TRUSTED_PROXIES: '127.0.0.1' }, { 'x-forwarded-for': 'nonsense' }), '127.0.0.1');
  });
});
