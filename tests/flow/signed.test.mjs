// Requests that programs sign with a key: on a real server, by the words of docs/api.md.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { endsSoon, ok, refused } from './check.mjs';
import { makeDataDir, run, startServer } from './server.mjs';
import { SignedClient, authorization, sha256, textToSign } from './signed.mjs';
import { Talker } from './talker.mjs';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const document = JSON.parse(run(['openapi']).stdout);
let server; let alice; let bob; let key; let program;

const keyOf = async (client, more = {}) => ok(await client.post('/api/v1/auth/keys', { name: 'a program', ...more }), 201);

before(async () => {
  server = await startServer();
  await server.register('root');
  alice = await server.register('alice');
  bob = await server.register('bob');
  key = await keyOf(alice);
  program = new SignedClient(server.url, key);
});
after(() => server?.stop());

test('the worked example of the manual is what it says', () => {
  const manual = readFileSync(path.join(root, 'docs/api.md'), 'utf8').split('## Signed requests')[1];
  const [secret, text, header] = [...manual.matchAll(/```text\n([^]*?)\n```/g)].map((m) => m[1]);
  const [name, keyId, time, nonce, method, target, query, digest, ...rest] = text.split('\n');
  assert.equal(name, 'PARLANCE-HMAC-SHA256');
  assert.deepEqual(rest, []);
  const body = manual.match(/-d '([^']*)'/)[1];
  assert.equal(sha256(body), digest);
  assert.equal(query, '');
  assert.equal(textToSign({ keyId, time, nonce, method, target, digest }), text);
  assert.equal(authorization({ id: keyId, secret }, method, target, { body, time, nonce }),
    header.replace(/^Authorization: /, '').replace(/\n\s*/g, ' '));
  assert.equal(createHmac('sha256', secret).update(text).digest('hex'), header.match(/signature=(\w+)/)[1]);
});

describe('a signed request', () => {
  test('is its owner\'s, with query and body', async () => {
    assert.equal(ok(await program.get('/api/v1/users/me')).username, 'alice');
    assert.equal(ok(await program.get('/api/v1/users?q=bo&limit=5')).users[0].username, 'bob');
    assert.equal(ok(await program.get('/api/v1/users?limit=5&q=%62ob')).users[0].username, 'bob');
    ok(await program.post('/api/v1/meetings', { title: '中文 and \u{1F600}' }), 201);
    ok(await program.put('/api/v1/users/me', { description: 'by a program' }));
    assert.equal(ok(await alice.get('/api/v1/users/me')).description, 'by a program');
  });

  test('is good once', async () => {
    const header = { authorization: authorization(key, 'GET', '/api/v1/users/me') };
    ok(await program.get('/api/v1/users/me', { headers: header }));
    refused(await program.get('/api/v1/users/me', { headers: header }), 'unauthenticated', /made already/);
    const many = { authorization: authorization(key, 'GET', '/api/v1/users/me') };
    const replies = await Promise.all(Array.from({ length: 20 }, () => program.get('/api/v1/users/me', { headers: many })));
    assert.equal(replies.filter((r) => r.status === 200).length, 1);
  });

  test('is good for what was signed alone', async () => {
    const target = '/api/v1/users?q=bob&limit=5';
    for (const [method, other] of [['GET', '/api/v1/users?q=bob&limit=6'], ['GET', '/api/v1/users?q=bob'],
      ['GET', '/api/v1/users/?q=bob&limit=5'], ['POST', target]]) {
      const reply = await program.get(target, { headers: { authorization: authorization(key, method, other) } });
      refused(reply, 'unauthenticated', /signature is not valid/);
    }
    const signing = { digest: sha256('{"title":"Another"}') };
    refused(await program.post('/api/v1/meetings', { title: 'This' }, { signing }), 'unauthenticated', /digest/);
    const body = JSON.stringify({ title: 'This' });
    const good = authorization(key, 'POST', '/api/v1/meetings', { body });
    refused(await program.post('/api/v1/meetings', { title: 'That' }, { headers: { authorization: good } }), 'unauthenticated', /digest/);
    ok(await program.post('/api/v1/meetings', { title: 'This' }, { headers: { authorization: good } }), 201);
  });

  test('of a wrong clock is told the right time', async () => {
    for (const time of [0, 1000, 86400_000, Date.now() - 301_000, Date.now() + 301_000, Date.UTC(2100, 0), 999999999999999]) {
      const { message } = refused(await program.get('/api/v1/users/me', { signing: { time } }), 'unauthenticated');
      const [, said] = message.match(/the server's time .*\((\d+) ms\)/);
      assert.ok(Math.abs(Number(said) - Date.now()) < 5000, message);
    }
    ok(await program.get('/api/v1/users/me', { signing: { time: Date.now() + 240_000 } }));
  });

  test('with another\'s key, no key, or a broken header is refused', async () => {
    const foreign = await keyOf(bob);
    refused(await program.get('/api/v1/users/me', { signing: { keyId: foreign.id } }), 'unauthenticated', /not valid/);
    refused(await program.get('/api/v1/users/me', { signing: { keyId: alice.user.id } }), 'unauthenticated', /not valid/);
    refused(await program.get('/api/v1/users/me', { signing: { nonce: 'short' } }), 'unauthenticated', /nonce/);
    refused(await program.get('/api/v1/users/me', { signing: { signature: 'f'.repeat(64) } }), 'unauthenticated', /not valid/);
    refused(await program.get('/api/v1/users/me', { signing: { signature: 'abc' } }), 'unauthenticated', /signature=/);
    for (const value of ['Parlance-HMAC-SHA256', 'Parlance-HMAC-SHA256 x', 'Parlance-HMAC-SHA256 ,,,,', `Parlance-HMAC-SHA256 ${'a=b,'.repeat(900)}`])
      refused(await program.get('/api/v1/users/me', { headers: { authorization: value } }), 'unauthenticated');
    // A secret is no token, and neither is the key's id.
    for (const value of [key.secret, key.id, `pbt_${key.id}${key.secret}`])
      refused(await server.client().get('/api/v1/users/me', { headers: { authorization: `Bearer ${value}` } }), 'unauthenticated');
  });
});

test('every row that takes a token takes a signature, but those of sign-ins and keys', async () => {
  let open = 0;
  for (const [target, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const takes = (operation.security ?? document.security).some((one) => 'signature' in one);
      const isOfSignIns = target.startsWith('/api/v1/auth/');
      assert.equal(takes, !isOfSignIns, `${method} ${target}`);
      open += takes;
      // To an id that is not there: what is asked is the signature alone.
      const address = target.replace(/\{\w+\}/g, '01M7YJPKHX1NE66T8H50TPYVP7');
      const reply = await program.ask(method.toUpperCase(), address, ['get', 'head', 'delete'].includes(method) ? {} : { body: {} });
      if (isOfSignIns) refused(reply, 'permission_denied', /people who sign in/);
      else assert.ok(![401, 500].includes(reply.status), `${method} ${target}: ${reply.text}`);
    }
  }
  assert.ok(open > 30);
});

describe('keys', () => {
  test('are listed without their secrets, for their owner alone', async () => {
    const { keys } = ok(await alice.get('/api/v1/auth/keys'));
    assert.deepEqual(keys.map((k) => [k.id, k.secret, k.kind]), [[key.id, '', 'hmac']]);
    assert.ok(keys[0].last_used_at_ms > Date.now() - 60_000);
    assert.ok(!ok(await bob.get('/api/v1/auth/keys')).keys.some((k) => k.id === key.id));
    refused(await bob.delete(`/api/v1/auth/keys/${key.id}`), 'not_found');
  });

  test('open what their scopes name', async () => {
    const reader = new SignedClient(server.url, await keyOf(alice, { scopes: ['meetings:read', 'users'] }));
    ok(await reader.get('/api/v1/meetings'));
    refused(await reader.post('/api/v1/meetings', { title: 'No' }), 'permission_denied', /"meetings:write"/);
    ok(await reader.put('/api/v1/users/me', { description: 'still' }));
    refused(await reader.get('/api/v1/conversations'), 'permission_denied', /"messages:read"/);
    refused(await reader.get('/metrics', { headers: { 'x-forwarded-for': '203.0.113.1' } }), 'permission_denied');
    refused(await alice.post('/api/v1/auth/keys', { name: 'x', scopes: ['Meetings'] }), 'invalid_argument', /^scopes: /);
  });

  test('end at once, with their sockets', async () => {
    const short = await keyOf(alice);
    const client = new SignedClient(server.url, short);
    ok(await client.get('/api/v1/users/me'));
    const socket = await Talker.open(server, null, { headers: { authorization: authorization(short, 'GET', '/ws/im') } });
    await socket.next('ready');
    ok(await alice.delete(`/api/v1/auth/keys/${short.id}`));
    refused(await client.get('/api/v1/users/me'), 'unauthenticated', /not valid/);
    const from = Date.now();
    await socket.closed;
    assert.ok(Date.now() - from < 10_000);
    refused(await alice.delete(`/api/v1/auth/keys/${short.id}`), 'not_found');
  });

  test('end with the account, and survive a restart', async () => {
    const dataDir = makeDataDir();
    let own = await startServer({ dataDir });
    const admin = await own.register('root');
    const carol = await own.register('carol');
    const theirs = await keyOf(carol);
    const used = { authorization: authorization(theirs, 'GET', '/api/v1/users/me') };
    ok(await own.client().get('/api/v1/users/me', { headers: used }));
    await own.stop({ keepData: true });
    own = await startServer({ dataDir });
    // What was signed before cannot be known to be new.
    refused(await own.client().get('/api/v1/users/me', { headers: used }), 'unauthenticated', /before this server started/);
    const client = new SignedClient(own.url, theirs);
    ok(await client.get('/api/v1/users/me'));
    admin.base = own.url;
    ok(await admin.put(`/api/v1/users/${carol.user.id}`, { is_disabled: true }));
    await endsSoon(client);
    await own.stop();
  });
});

test('a socket opens by signature, if the scopes have sockets', async () => {
  const headers = (k) => ({ authorization: authorization(k, 'GET', '/ws/im') });
  const socket = await Talker.open(server, null, { headers: headers(key) });
  await socket.next('ready');
  await socket.close();
  const bounded = await keyOf(alice, { scopes: ['messages'] });
  await assert.rejects(Talker.open(server, null, { headers: headers(bounded) }), /403/);
  const forged = headers(key);
  forged.authorization = forged.authorization.replace(/signature=..../, 'signature=0000');
  await assert.rejects(Talker.open(server, null, { headers: forged }), /401/);
});
