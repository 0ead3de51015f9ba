// gRPC as others speak it: @grpc/grpc-js calls every service, our processes call one another and a server of grpc-js.
import grpc from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { contracts, GrpcClient, portOf, SECRET } from './grpc_client.mjs';
import { run, startServer } from './server.mjs';

const { status } = grpc;
const UNITS = ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task'];
const anyPorts = Object.fromEntries(UNITS.map((name) => [`PARLANCE_GRPC_PORTS_${name.toUpperCase()}`, '0']));
const shared = { CLUSTER_SECRET: SECRET, PARLANCE_GRPC_HOST: '127.0.0.1', ...anyPorts };
const health = contracts('health.proto');
const Check = health.lookupType('grpc.health.v1.HealthCheckRequest');
const Checked = health.lookupType('grpc.health.v1.HealthCheckResponse');
const check = (client, service) => client.unary('/grpc.health.v1.Health/Check', Check, Checked, { service },
  { secret: null });

describe('a server of gRPC', () => {
  let server;
  let client;
  before(async () => {
    server = await startServer({ env: { ...shared, PARLANCE_GRPC_ENABLED: 'true' } });
    client = new GrpcClient(portOf(server, 'user'));
  });
  after(async () => {
    client.close();
    await server.stop();
  });

  test('health, for everybody', async () => {
    assert.equal((await check(client, '')).reply.status, 1);
    assert.equal((await check(client, 'parlance.user.v1.User')).reply.status, 1);
    assert.equal((await check(client, 'no.Such')).code, status.NOT_FOUND);
  });

  test('watching health tells the end', async () => {
    const other = await startServer({ env: { ...shared, PARLANCE_GRPC_ENABLED: 'true' } });
    const watcher = new GrpcClient(portOf(other, 'auth'));
    const seen = [];
    const ended = new Promise((resolve) => {
      const call = watcher.client.makeServerStreamRequest('/grpc.health.v1.Health/Watch',
        (message) => Buffer.from(Check.encode(message).finish()), (bytes) => Checked.decode(bytes),
        Check.create({ service: 'parlance.auth.v1.Auth' }), new grpc.Metadata(), {});
      call.on('data', (one) => seen.push(one.status));
      call.on('error', (error) => resolve(error.code));
      call.on('data', () => { if (seen.length === 1) other.child.kill('SIGTERM'); });
    });
    assert.equal(await ended, status.UNAVAILABLE);
    assert.deepEqual(seen, [1, 2]);
    watcher.close();
    assert.equal((await other.exited).code, 0);
    rmSync(other.dataDir, { recursive: true });
  });

  test('every service is found by reflection and answers', async () => {
    const called = [];
    for (const unit of UNITS) {
      const one = new GrpcClient(portOf(server, unit));
      const { names, types } = await one.discover();
      assert.ok(names.includes('grpc.health.v1.Health') && names.includes('grpc.reflection.v1.ServerReflection'));
      for (const name of names.filter((each) => each.startsWith('parlance.'))) {
        const service = types.lookupService(name);
        for (const method of service.methodsArray) {
          const result = await one.unary(`/${name}/${method.name}`, method.resolvedRequestType,
            method.resolvedResponseType);
          const odd = [status.UNIMPLEMENTED, status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN,
            status.DEADLINE_EXCEEDED];
          assert.ok(!odd.includes(result.code), `${name}/${method.name}: ${result.code} ${result.details}`);
        }
        called.push(name);
      }
      one.close();
    }
    assert.equal(called.length, 12, called.join());
  });

  test('reflection answers what it does not know, under both names', async () => {
    for (const version of ['v1', 'v1alpha']) {
      const answers = await client.reflect(version, [{ file_by_filename: 'user.proto' }, { file_by_filename: 'no.proto' },
        { file_containing_symbol: 'parlance.user.v1.Profile' }, { file_containing_symbol: 'parlance.user.v1.No' },
        { all_extension_numbers_of_type: 'parlance.user.v1.Profile' }, {}]);
      assert.deepEqual(answers.map((one) => one.error_response?.error_code ?? 0), [0, 5, 0, 5, 5, 3]);
      assert.ok(answers[0].file_descriptor_response.file_descriptor_proto.length > 1); // with what it imports
    }
  });

  test('who is not of the cluster is served nothing', async () => {
    const { types } = await client.discover();
    const method = types.lookupService('parlance.user.v1.User').methods.SearchUsers;
    for (const secret of [null, '', 'x', `${SECRET}x`]) {
      const result = await client.unary('/parlance.user.v1.User/SearchUsers', method.resolvedRequestType,
        method.resolvedResponseType, {}, { secret });
      assert.equal(result.code, status.UNAUTHENTICATED);
    }
    const result = await client.unary('/parlance.user.v1.User/SearchUsers', method.resolvedRequestType,
      method.resolvedResponseType, {}, { headers: { 'parlance-identity': 'king' } });
    assert.equal(result.code, status.INVALID_ARGUMENT);
  });

  test('what is no message, or compressed, is refused with a reason', async () => {
    const raw = { encode: () => ({ finish: () => Buffer.from('ffffffff', 'hex') }), create: () => ({}) };
    const result = await client.unary('/parlance.user.v1.User/SearchUsers', raw, Checked);
    assert.equal(result.code, status.INVALID_ARGUMENT);
    const packed = new GrpcClient(portOf(server, 'user'), grpc.credentials.createInsecure(),
      { 'grpc.default_compression_algorithm': 2 });
    const answer = await packed.unary('/grpc.health.v1.Health/Check', Check, Checked, { service: 'x'.repeat(2000) });
    assert.equal(answer.code, status.UNIMPLEMENTED);
    assert.match(answer.details, /compressed/);
    packed.close();
  });
});

describe('services apart', () => {
  test('accounts in one process, the rest in another', async () => {
    const accounts = await startServer({ env: shared, args: ['serve', '--services', 'user,auth'] });
    const rest = await startServer({
      env: {
        ...shared,
        PARLANCE_SERVICES_REMOTE: `user=127.0.0.1:${portOf(accounts, 'user')},auth=127.0.0.1:${portOf(accounts, 'auth')}`,
      },
      args: ['serve', '--services=media,meeting,signaling,file,message,presence,task,gateway'],
    });
    const alice = await rest.register('alice');
    const me = await alice.get('/api/v1/users/me');
    assert.equal(me.status, 200);
    assert.equal(me.body.username, 'alice');
    // The same token at the process that owns the accounts.
    const there = accounts.client();
    there.token = alice.token;
    assert.equal((await there.get('/api/v1/users/me')).body.id, me.body.id);
    const meeting = await alice.post('/api/v1/meetings', { title: 'Apart' });
    assert.equal(meeting.status, 201, meeting.text);
    // Errors keep their words and their status on the way.
    const again = await rest.client().post('/api/v1/auth/register', { username: 'alice', password: 'alice-password' });
    assert.equal(again.status, 409, again.text);
    const wrong = await rest.client().post('/api/v1/auth/login', { login: 'alice', password: 'not-hers' });
    assert.equal(wrong.status, 401, wrong.text);
    // Rows of services that are elsewhere: only a gateway has them all.
    assert.equal((await fetch(`${accounts.url}/api/v1/meetings`)).status, 404);
    await accounts.stop();
    const gone = await alice.get('/api/v1/users/me');
    assert.equal(gone.status, 503, gone.text);
    await rest.stop();
  });

  test('a service written with grpc-js', async () => {
    const types = contracts('user.proto');
    const Register = types.lookupType('parlance.user.v1.RegisterRequest');
    const Profile = types.lookupType('parlance.user.v1.Profile');
    const asked = [];
    const foreign = new grpc.Server();
    foreign.addService({
      Register: {
        path: '/parlance.user.v1.User/Register', requestStream: false, responseStream: false,
        requestDeserialize: (bytes) => Register.decode(bytes), requestSerialize: () => Buffer.alloc(0),
        responseSerialize: (message) => Buffer.from(Profile.encode(message).finish()), responseDeserialize: () => null,
      },
    }, {
      Register(call, done) {
        asked.push({ ...call.request, deadline: call.getDeadline(), headers: call.metadata.getMap() });
        const trailer = new grpc.Metadata();
        trailer.set('parlance-retry-after-ms', '7000');
        done({ code: status.RESOURCE_EXHAUSTED, details: 'zu viel auf einmal: 100 % für heute', metadata: trailer });
      },
    });
    const port = await new Promise((resolve, reject) => {
      foreign.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(),
        (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    const server = await startServer({
      env: { ...shared, PARLANCE_SERVICES_REMOTE: `user=localhost:${port}` },
      args: ['serve', '--services=auth,gateway'],
    });
    const reply = await server.client().post('/api/v1/auth/register', { username: 'bob', password: 'bob-password' },
      { headers: { 'user-agent': 'Prüfer 1.0' } }).catch((error) => error);
    assert.equal(reply.status, 429, reply.text);
    assert.match(reply.text, /zu viel auf einmal: 100 % für heute/);
    assert.equal(reply.headers.get('retry-after'), '7');
    assert.equal(asked.length, 1);
    assert.equal(asked[0].username, 'bob');
    assert.equal(asked[0].headers['parlance-secret'], SECRET);
    assert.ok(asked[0].headers['x-request-id']);
    assert.ok(Number(asked[0].deadline) - Date.now() < 60_000);
    await server.stop();
    foreign.forceShutdown();
  });

  test('certificates of the cluster prove as well', async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'parlance-ca-'));
    const file = (name) => path.join(dir, name);
    const openssl = (...args) => {
      const done = spawnSync('openssl', args, { encoding: 'utf8' });
      assert.equal(done.status, 0, done.stderr);
    };
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-x509', ...key, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-subj', '/CN=cluster', '-days', '2');
    for (const name of ['a', 'stranger']) {
      const own = name === 'a' ? ['-CA', file('ca.pem'), '-CAkey', file('ca.key')] : [];
      openssl('req', '-new', ...key, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`), '-subj', `/CN=${name}`);
      writeFileSync(file('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
      openssl('x509', '-req', '-in', file(`${name}.csr`), '-out', file(`${name}.pem`), '-days', '2', '-extfile',
        file('names'), ...(own.length ? [...own, '-CAcreateserial'] : ['-signkey', file(`${name}.key`)]));
    }
    const env = {
      ...anyPorts, PARLANCE_GRPC_HOST: '127.0.0.1', PARLANCE_GRPC_TLS_CERT: file('a.pem'),
      PARLANCE_GRPC_TLS_KEY: file('a.key'), PARLANCE_GRPC_TLS_CA: file('ca.pem'),
    };
    const accounts = await startServer({ env, args: ['serve', '--services=user,auth'] });
    const rest = await startServer({
      env: {
        ...env,
        PARLANCE_SERVICES_REMOTE: `user=localhost:${portOf(accounts, 'user')},auth=localhost:${portOf(accounts, 'auth')}`,
      },
      args: ['serve', '--services=media,meeting,signaling,file,message,presence,task,gateway'],
    });
    const alice = await rest.register('alice');
    assert.equal((await alice.get('/api/v1/users/me')).status, 200);
    const credentials = (name) => grpc.credentials.createSsl(readFileSync(file('ca.pem')),
      name && readFileSync(file(`${name}.key`)), name && readFileSync(file(`${name}.pem`)));
    const codes = [];
    for (const name of ['a', 'stranger', null]) {
      const client = new GrpcClient(portOf(accounts, 'user'), credentials(name));
      codes.push((await check(client, '')).code);
      client.close();
    }
    assert.deepEqual(codes, [status.OK, status.UNAVAILABLE, status.UNAVAILABLE]);
    await rest.stop();
    await accounts.stop();
    rmSync(dir, { recursive: true });
  });

  test('what is said wrongly is said at the start', () => {
    const fails = (args, env, pattern) => {
      const done = run(['serve', ...args], { env });
      assert.equal(done.status, 1, done.stdout);
      assert.match(done.stderr, pattern);
    };
    fails(['--services=user'], {}, /grpc\.secret/);
    fails(['--services=users'], shared, /--services: expected all, or of user/);
    fails(['--services='], shared, /--services/);
    fails([], { PARLANCE_SERVICES_REMOTE: 'user=nowhere' }, /SERVICES_REMOTE/);
    fails([], { PARLANCE_SERVICES_REMOTE: 'all=localhost:1' }, /SERVICES_REMOTE/);
    fails([], { PARLANCE_GRPC_TLS_CERT: 'x' }, /grpc\.tls_ca/);
    fails([], { PARLANCE_GRPC_ENABLED: 'true' }, /grpc\.secret/);
  });
});
