// What whoever runs a server lives by: alive and ready, figures, the log, request ids, an end in good order and in time.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { eventuallyOk, ok, refused } from './check.mjs';
import { onlyWhole } from './deployment.mjs';
import { startServer } from './server.mjs';
import { Signaler } from './signaler.mjs';

const parseMetrics = createRequire(import.meta.url)('parse-prometheus-text-format');
const jwtSecret = 'a secret that no log may ever hold, of any level';
const password = 'pass-word-that-no-log-may-hold';
let server;
let admin;
let user;

before(async () => {
  server = await startServer({ env: { JWT_SECRET: jwtSecret, PARLANCE_LOG_LEVEL: 'debug', PARLANCE_HTTP_TRUSTED_PROXIES: '127.0.0.1' } });
  admin = await server.register('root', { password });
  user = await server.register('walter', { password, email: 'walter@private.example' });
});
after(async () => { await server?.stop(); });

const nobody = () => server.client();

// Family by name, its series as { labels, value }.
async function scrape() {
  const reply = await nobody().get('/metrics');
  assert.equal(reply.status, 200);
  assert.match(reply.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  assert.ok(reply.text.endsWith('\n'));
  const families = new Map(parseMetrics(reply.text).map((family) => [family.name, family]));
  families.text = reply.text;
  return families;
}

const valueOf = (families, name, labels = {}) => families.get(name)?.metrics
  .filter((series) => Object.entries(labels).every(([key, value]) => series.labels?.[key] === value))
  .reduce((sum, series) => sum + Number(series.value), 0) ?? 0;

// Observations of a histogram's series (the parser merges those of several labels).
function countOf(families, name, { route, method }) {
  const line = families.text.split('\n').find((text) => text.startsWith(`${name}_count{route="${route}",method="${method}"} `));
  return Number(line.split(' ').pop());
}

describe('alive and ready', () => {
  test('both say so to everybody, and are not kept by caches', async () => {
    assert.deepEqual(ok(await nobody().get('/health'), 200), { status: 'ok' });
    const ready = await nobody().get('/ready');
    assert.deepEqual(ok(ready, 200), { checks: { store: true, cache: true, bus: true }, status: 'ready' });
    assert.equal(ready.headers.get('cache-control'), 'no-store');
    refused(await nobody().post('/health'), 'method_not_allowed');
  });
});

// Each process of a deployment counts its own.
describe('figures', { skip: onlyWhole }, () => {
  test('every part of the house is counted from the start', async () => {
    const families = await scrape();
    for (const name of [
      'parlance_http_request_seconds', 'parlance_http_api_requests_total', 'parlance_net_connections', 'parlance_net_websockets',
      'parlance_media_rooms', 'parlance_media_sessions', 'parlance_media_tracks', 'parlance_sfu_peers', 'parlance_sfu_received_total',
      'parlance_sfu_sent_total', 'parlance_sfu_forwarded_total', 'parlance_sfu_send_batches_total', 'parlance_sfu_send_messages_total',
      'parlance_sfu_drop_malformed_total', 'parlance_sfu_drop_pool_total', 'parlance_sfu_packet_bufs', 'parlance_store_batch_jobs',
      'parlance_store_commit_seconds', 'parlance_store_queue_jobs', 'parlance_store_writable', 'parlance_worker_threads',
      'parlance_worker_busy_threads', 'parlance_worker_queued_jobs', 'parlance_rpc_seconds', 'parlance_bus_queue_events',
      'parlance_cache_used_bytes', 'parlance_registry_instances', 'process_resident_memory_bytes', 'process_open_fds', 'process_cpu_seconds_total', 'parlance_build_info',
    ]) assert.ok(families.get(name)?.metrics.length, name);
    for (const [name, family] of families) assert.ok(family.help.length > 3, `${name} tells what it is`);
    assert.equal(valueOf(families, 'parlance_store_writable'), 1);
    assert.ok(valueOf(families, 'process_resident_memory_bytes') > 1e6);
  });

  test('requests are counted by route, with latency and errors', async () => {
    const route = { route: '/api/v1/users/me', method: 'GET' };
    const before_ = await scrape();
    for (let i = 0; i < 3; i += 1) ok(await user.get('/api/v1/users/me'));
    refused(await nobody().get('/api/v1/users/me'), 'unauthenticated');
    const after_ = await scrape();
    const grown = (name, labels) => valueOf(after_, name, labels) - valueOf(before_, name, labels);
    assert.equal(grown('parlance_http_api_requests_total', { ...route, status: '200' }), 3);
    assert.equal(grown('parlance_http_api_requests_total', { ...route, status: '401' }), 1);
    const latency = 'parlance_http_request_seconds';
    assert.equal(countOf(after_, latency, route) - countOf(before_, latency, route), 4);
  });

  test('sockets and rooms come and go', async () => {
    const meeting = ok(await user.post('/api/v1/meetings', { title: 'Counted' }), 201);
    ok(await user.post(`/api/v1/meetings/${meeting.id}/join`, {}));
    const wire = await Signaler.open(server, user);
    await wire.join(meeting);
    assert.equal(valueOf(await scrape(), 'parlance_net_websockets'), 1);
    assert.equal(valueOf(await scrape(), 'parlance_signaling_rooms'), 1);
    wire.close();
    await eventuallyOk(async () => assert.equal(valueOf(await scrape(), 'parlance_net_websockets'), 0));
  });

  test('from outside they are for administrators', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    refused(await nobody().get('/metrics', { headers }), 'unauthenticated');
    refused(await user.get('/metrics', { headers }), 'permission_denied');
    assert.equal((await admin.get('/metrics', { headers })).status, 200);
  });
});

describe('request ids', () => {
  test('one that is given comes back; one that is not sane is replaced', async () => {
    const given = await user.get('/api/v1/users/me', { headers: { 'x-request-id': 'Trace-1.a_b' } });
    assert.equal(given.headers.get('x-request-id'), 'Trace-1.a_b');
    const ids = new Set();
    for (const bad of ['two words', '<b>', '"', 'x'.repeat(300), 'é']) {
      const reply = await user.get('/api/v1/users/me', { headers: { 'x-request-id': Buffer.from(bad).toString('latin1') } });
      const id = reply.headers.get('x-request-id');
      assert.match(id, /^[\w.-]{8,64}$/);
      ids.add(id);
    }
    assert.equal(ids.size, 5);
  });

  test('the log says what an answer was under the same id', async () => {
    refused(await nobody().get('/api/v1/meetings', { headers: { 'x-request-id': 'find-me-again' } }), 'unauthenticated');
    await eventuallyOk(() => {
      const line = server.log.find((entry) => entry.request_id === 'find-me-again');
      assert.equal(line?.msg, 'GET /api/v1/meetings: 401');
    });
  });
});

describe('the log', () => {
  test('is JSON, a line each, with time, level and message', () => {
    assert.ok(server.log.length > 10);
    for (const line of server.log) {
      assert.match(line.ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.ok(['debug', 'info', 'warn', 'error'].includes(line.level));
      assert.ok(line.msg.length > 3);
    }
    assert.equal(server.errors, '', 'nothing goes past it');
  });

  test('holds no secret, at any level', async () => {
    const wrong = 'a-wrong-password-somebody-typed';
    refused(await nobody().post('/api/v1/auth/login', { login: 'walter', password: wrong }), 'unauthenticated');
    refused(await nobody().post('/api/v1/auth/login', { login: 'walter', password: wrong, extra: 1 }), 'invalid_argument');
    refused(await nobody().get(`/api/v1/users/me?token=${user.token}`), 'unauthenticated');
    const session = ok(await nobody().post('/api/v1/auth/login', { login: 'walter', password }));
    ok(await nobody().post('/api/v1/auth/refresh', { refresh_token: session.refresh_token }));
    refused(await nobody().post('/api/v1/auth/refresh', { refresh_token: `${session.refresh_token}x` }), 'unauthenticated');
    const meeting = ok(await user.post('/api/v1/meetings', { title: 'Locked', password: 'knock-knock-secret' }), 201);
    refused(await admin.post(`/api/v1/meetings/${meeting.id}/join`, { password: 'not-the-knock-secret' }), 'permission_denied');
    const wire = await Signaler.open(server, null, { token: null });
    wire.send({ type: 'authenticate', token: 'eyJhbGciOiJub25lIn0.forged.token' });
    await wire.closed.catch(() => {});
    const said = server.output + server.errors;
    for (const secret of [jwtSecret, password, wrong, user.token, session.access_token, session.refresh_token, session.csrf_token,
      'knock-knock-secret', 'not-the-knock-secret', 'forged.token', 'walter@private.example'])
      assert.ok(secret && !said.includes(secret), `${secret} stands in the log`);
  });
});

describe('the end', () => {
  // A connection that has sent half a request, and never sends the rest.
  async function halfRequest(port) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.write('POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"lo');
    return socket;
  }

  test('sockets are told to come back, idle connections close, and it takes no time', async () => {
    const own = await startServer({ env: { PARLANCE_HTTP_DRAIN_MS: '5000' } });
    const host = await own.register('hester');
    const wire = await Signaler.open(own, host);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    const [how, closed] = await Promise.all([own.stop(), wire.closed]);
    assert.ok([1001, 1012].includes(closed.code), `${closed.code} ${closed.reason}`);
    assert.ok(how.ms < 4000, `took ${how.ms} ms`);
  });

  test('who hangs is not waited for beyond the limit', async () => {
    const own = await startServer({ env: { PARLANCE_HTTP_DRAIN_MS: '700' } });
    const socket = await halfRequest(own.port);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    const how = await own.stop();
    assert.equal(how.code, 0);
    assert.ok(how.ms >= 600 && how.ms < 5000, `took ${how.ms} ms`);
    assert.ok(own.log.some((line) => line.level === 'warn' && /did not end in time/.test(line.msg)));
    socket.destroy();
  });

  test('while it drains nobody new comes in; a second signal ends it at once', { skip: onlyWhole }, async () => {
    const own = await startServer({ env: { PARLANCE_HTTP_DRAIN_MS: '60000' } });
    const socket = await halfRequest(own.port);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    own.child.kill('SIGTERM');
    await eventuallyOk(() => assert.ok(own.log.some((line) => /^stopping/.test(line.msg))));
    await eventuallyOk(() => assert.rejects(own.client().get('/health')));
    const from = Date.now();
    own.child.kill('SIGTERM');
    assert.equal((await own.exited).signal, 'SIGTERM');
    assert.ok(Date.now() - from < 20_000);
    socket.destroy();
  });
});
