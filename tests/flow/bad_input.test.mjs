// What nobody should send: each gets an error with code, message and request id, and the server goes on serving.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { claimsOf, resign, sign } from './jwt.mjs';
import { lines, send } from './raw.mjs';
import { run, startServer } from './server.mjs';

const secret = 'a secret that only these tests know, long enough';
const document = JSON.parse(run(['openapi']).stdout);
let server;
let admin;
let alice;

before(async () => {
  server = await startServer({ env: { JWT_SECRET: secret } });
  admin = await server.register('root');
  alice = await server.register('alice');
});
after(() => server?.stop());

// An error, whatever its code, of the one shape.
function isError(answer, status, what) {
  assert.ok(answer, `${what}: no answer`);
  if (status) assert.equal(answer.status, status, `${what}: ${answer.text}`);
  assert.ok((answer.status >= 400 && answer.status < 500) || [501, 505].includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
  const { error } = answer.body ?? {};
  assert.ok(error?.code && error.message && error.request_id, `${what}: ${answer.text}`);
  assert.equal(answer.headers.get('x-request-id'), error.request_id, what);
}

const stillServes = async () => assert.equal((await fetch(`${server.url}/health`)).status, 200);

describe('HTTP that is none', () => {
  const head = ['POST /api/v1/auth/login HTTP/1.1', 'Host: x', 'Content-Type: application/json'];
  const get = 'GET /health HTTP/1.1';
  const cases = {
    'no HTTP at all': ['hello\r\n\r\n', 400],
    'TLS to the wrong port': ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
    'an unknown version': [lines('GET /health HTTP/3.0', 'Host: x'), 505],
    'HTTP/2 by prior knowledge': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 501],
    'an unknown method': [lines('BREW /health HTTP/1.1', 'Host: x'), 501],
    'a method of small letters': [lines('get /health HTTP/1.1', 'Host: x'), 501],
    'no path': [lines('GET  HTTP/1.1', 'Host: x'), 400],
    'a path without slash': [lines('GET health HTTP/1.1', 'Host: x'), 400],
    'bare line feeds': ['GET /health HTTP/1.1\nHost: x\n\n', 400],
    'a folded line': [lines(get, 'Host: x', 'X-A: one', ' two'), 400],
    'a space before the colon': [lines(get, 'Host: x', 'X-A : one'), 400],
    'a line without a colon': [lines(get, 'Host: x', 'nonsense'), 400],
    'a name with spaces': [lines(get, 'Host: x', 'X A: one'), 400],
    'NUL in a value': [lines(get, 'Host: x', 'X-A: on\0e'), 400],
    'a carriage return in a value': [lines(get, 'Host: x', 'X-A: on\re'), 400],
    'no host': [lines(get), 400],
    'two hosts': [lines(get, 'Host: x', 'Host: y'), 400],
    'two lengths': [lines(...head, 'Content-Length: 2', 'Content-Length: 2') + '{}', 400],
    'a length and chunks': [lines(...head, 'Content-Length: 2', 'Transfer-Encoding: chunked') + '0\r\n\r\n', 400],
    'a negative length': [lines(...head, 'Content-Length: -1'), 400],
    'a length of letters': [lines(...head, 'Content-Length: two') + '{}', 400],
    'a length past counting': [lines(...head, 'Content-Length: 99999999999999999999999'), null],
    'an unknown coding': [lines(...head, 'Transfer-Encoding: gzip'), null],
    'chunks within chunks': [lines(...head, 'Transfer-Encoding: chunked, chunked'), null],
    'a chunk of no size': [lines(...head, 'Transfer-Encoding: chunked') + 'zz\r\n{}\r\n0\r\n\r\n', 400],
    'a chunk without its end': [lines(...head, 'Transfer-Encoding: chunked') + '2\r\n{}XX0\r\n\r\n', 400],
    'a chunk past counting': [lines(...head, 'Transfer-Encoding: chunked') + 'ffffffffffffffffff\r\n', null],
    'a body that is too large': [lines(...head, `Content-Length: ${9 << 10}`) + 'x'.repeat(9 << 10), 413],
    'chunks that are too large': [lines(...head, 'Transfer-Encoding: chunked') + `${(9 << 10).toString(16)}\r\n${'x'.repeat(9 << 10)}\r\n0\r\n\r\n`, 413],
    'a target that is too long': [lines(`GET /${'x'.repeat(9000)} HTTP/1.1`, 'Host: x'), 414],
    'a head that is too large': [lines(get, 'Host: x', `X-A: ${'x'.repeat(17000)}`), 431],
    'a head without end': [`${get}\r\nHost: x\r\n${'X-A: bbbbbbbbbbbbbbb\r\n'.repeat(1000)}`, 431],
    'too many fields': [lines(get, 'Host: x', ...Array.from({ length: 65 }, (_, i) => `X-${i}: 1`)), 431],
    'an expectation that nobody can meet': [lines(...head, 'Expect: miracles', 'Content-Length: 2') + '{}', null],
  };
  for (const [name, [bytes, status]] of Object.entries(cases)) {
    test(`refused: ${name}`, async () => {
      const answers = await send(server, Buffer.from(bytes, 'latin1'));
      assert.equal(answers.length, 1, `${answers.map((a) => a.status)}`);
      isError(answers[0], status, name);
      assert.ok(answers.isClosed, 'and nothing that follows is believed');
      await stillServes();
    });
  }

  test('one request split at every byte is still one request', async () => {
    const { default: net } = await import('node:net');
    const socket = net.connect(server.port, '127.0.0.1').setNoDelay();
    const text = lines('GET /health HTTP/1.1', 'Host: x', 'Connection: close');
    let got = '';
    const whole = new Promise((resolve) => { socket.on('data', (d) => { got += d; }).on('close', resolve); });
    for (const byte of text) {
      socket.write(byte);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
    await whole;
    assert.match(got, /^HTTP\/1\.1 200 .*"ok"/s);
  });

  test('pipelined requests are answered in order, and one bad one ends it', async () => {
    const one = (i) => lines(`GET /health?${i} HTTP/1.1`, 'Host: x', `X-Request-Id: turn-${i}`);
    const answers = await send(server, [1, 2, 3, 4, 5].map(one).join(''), { expect: 5 });
    assert.deepEqual(answers.map((a) => a.headers.get('x-request-id')), [1, 2, 3, 4, 5].map((i) => `turn-${i}`));
    const broken = await send(server, `${one(1)}nonsense\r\n\r\n${one(2)}`);
    assert.deepEqual(broken.map((a) => a.status), [200, 400]);
    assert.equal(broken.isClosed, true);
  });

  test('half a request, and then silence or the end: nothing is left behind', async () => {
    for (let i = 0; i < 20; i++) await send(server, 'GET /hea', { end: true, ms: 500 });
    const answers = await send(server, lines('POST /api/v1/auth/login HTTP/1.1', 'Host: x', 'Content-Length: 100') + '{"login"', { end: true });
    assert.ok(answers.length <= 1);
    await stillServes();
  });
});

describe('requests that make no sense', () => {
  test('JSON that is none, or other than asked for', async () => {
    const bad = {
      'nothing of it': 'hello', 'half of it': '{"title":"x"', 'more than it': '{"title":"x"}}', 'a comma too much': '{"title":"x",}',
      'single quotes': "{'title':'x'}", 'a comment': '{"title":"x"/*!*/}', 'a list': '[{"title":"x"}]', 'a text': '"title"', null: 'null',
      'a name twice': '{"title":"x","title":"y"}', 'an unknown name': '{"title":"x","colour":"red"}', 'a text for a number': '{"title":"x","capacity":"many"}',
      'a fraction': '{"title":"x","capacity":2.5}', 'too large a number': '{"title":"x","capacity":99999999999}', 'not a number': '{"title":"x","capacity":NaN}',
      'a number for a text': '{"title":5}', 'a list for a text': '{"title":["x"]}', 'a text for a flag': '{"title":"x","has_waiting_room":"yes"}',
      'NUL within': '{"title":"a\\u0000b"}', 'half a surrogate': '{"title":"\\ud800"}', 'deep nesting': `{"title":${'['.repeat(5000)}${']'.repeat(5000)}}`,
      'a mark of byte order': '\ufeff{"title":"x"}', 'control characters': '{"title":"a\u0007b"}',
    };
    for (const [name, raw] of Object.entries(bad))
      isError(await alice.ask('POST', '/api/v1/meetings', { raw, body: '' }), 400, name);
    const broken = Buffer.concat([Buffer.from('{"title":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    isError(await alice.ask('POST', '/api/v1/meetings', { raw: broken, body: '' }), 400, 'no UTF-8');
    isError(await alice.ask('POST', '/api/v1/meetings', { raw: `{"title":"${'x'.repeat(70_000)}"}`, body: '' }), 413, 'too much');
  });

  test('a form of a foreign page is no JSON', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
      isError(await alice.ask('POST', '/api/v1/meetings', { raw: '{"title":"x"}', body: '', headers: { 'content-type': type } }), 400, type);
  });

  test('queries: unknown, twice, contradicting, badly encoded', async () => {
    for (const query of ['colour=red', 'limit=1&limit=2', 'limit=many', 'q=%zz', 'q=%', 'q=%00a', 'q=%ff%fe', 'limit=99999999999'])
      isError(await alice.get(`/api/v1/users?q=alice&${query}`), 400, query);
    const { id } = ok(await alice.post('/api/v1/meetings', { title: 'x' }), 201);
    isError(await alice.get(`/api/v1/meetings/${id}?id=other`), 400, 'a query that contradicts the path');
    isError(await alice.put(`/api/v1/meetings/${id}`, { id: 'other', title: 'y' }), 400, 'a body that contradicts the path');
  });

  test('paths: unknown, upward, odd, and methods that are not answered', async () => {
    for (const path of ['/api', '/api/v1', '/api/v1/', '/api/v1/meetings/', '/api/v1//meetings', '/api/v2/meetings', '/api/v1/users/me/',
      '/api/v1/meetings/x/y/z/w', '/api/v1/../v1/meetings', '/api/v1/%2e%2e/secret.key', '/api/v1/meetings%2fx'])
      isError((await send(server, lines(`GET ${path} HTTP/1.1`, 'Host: x', 'Connection: close')))[0], 404, path);
    for (const path of ['/../../etc/passwd', '/..%2f..%2fetc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/assets/../../../etc/passwd', '/\\..\\..\\etc\\passwd']) {
      const [answer] = await send(server, lines(`GET ${path} HTTP/1.1`, 'Host: x', 'Connection: close'));
      assert.ok(!answer.text.includes('root:'), path);
    }
    const wrong = await alice.ask('PATCH', '/api/v1/meetings');
    refused(wrong, 'method_not_allowed');
    assert.equal(wrong.headers.get('allow'), 'GET, POST');
  });

  test('ids that are none, of any shape', async () => {
    const odd = ['x', '0'.repeat(26), 'x'.repeat(3000), "' OR '1'='1", '%00', '%F0%9F%98%80', '%E2%80%AE', '-1', '01M7YG%0d%0aX-Evil:1', '..', '%2e%2e%2f'];
    for (const id of odd) {
      const path = encodeURI(id).replaceAll('%25', '%');
      for (const target of [`/api/v1/meetings/${path}`, `/api/v1/users/${path}`, `/api/v1/meetings/${path}/participants`]) {
        const [answer] = await send(server, lines(`GET ${target} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${alice.token}`, 'Connection: close'));
        isError(answer, null, target);
        assert.equal(answer.headers.get('x-evil'), null);
      }
    }
  });

  test('a request id of the client is kept if it is sane, and is no way to write headers', async () => {
    const ask = async (id) => (await send(server, lines('GET /api/v1/nowhere HTTP/1.1', 'Host: x', `X-Request-Id: ${id}`, 'Connection: close')))[0];
    const kept = await ask('trace-42.A_b');
    assert.equal(kept.headers.get('x-request-id'), 'trace-42.A_b');
    assert.equal(kept.body.error.request_id, 'trace-42.A_b');
    for (const id of ['x'.repeat(500), 'two words', '<b>', '"quoted"', 'ü']) {
      const answer = await ask(id);
      assert.notEqual(answer.headers.get('x-request-id'), id);
      isError(answer, 404, id);
    }
  });
});

describe('tokens', () => {
  test('made by others, for other things, at other times', async () => {
    const claims = claimsOf(alice.token);
    const now = Math.floor(Date.now() / 1000);
    const bad = {
      'no algorithm': `${sign({ alg: 'none', typ: 'JWT' }, claims, '').split('.').slice(0, 2).join('.')}.`,
      'None': sign({ alg: 'None', typ: 'JWT' }, claims, secret),
      'another key': sign({ alg: 'HS256', typ: 'JWT' }, claims, 'guess'),
      'an empty key': sign({ alg: 'HS256', typ: 'JWT' }, claims, ''),
      'another hash': sign({ alg: 'HS512', typ: 'JWT' }, claims, secret, 'sha512'),
      'another algorithm in name': resign(alice.token, secret, undefined, (h) => ({ ...h, alg: 'RS256' })),
      'another type': resign(alice.token, secret, undefined, (h) => ({ ...h, typ: 'secevent+jwt' })),
      'another issuer': resign(alice.token, secret, (c) => ({ ...c, iss: 'https://evil.example' })),
      'another audience': resign(alice.token, secret, (c) => ({ ...c, aud: 'somebody else' })),
      'an hour too old': resign(alice.token, secret, (c) => ({ ...c, iat: now - 7200, exp: now - 3600 })),
      'an hour too young': resign(alice.token, secret, (c) => ({ ...c, iat: now + 3600, nbf: now + 3600 })),
      'no end': resign(alice.token, secret, ({ exp, ...c }) => c),
      'an end of text': resign(alice.token, secret, (c) => ({ ...c, exp: 'never' })),
      'nobody': resign(alice.token, secret, ({ sub, ...c }) => c),
      'somebody else in this sign-in': resign(alice.token, secret, (c) => ({ ...c, sub: admin.user.id })),
      'a sign-in that is none': resign(alice.token, secret, (c) => ({ ...c, sid: '0'.repeat(26) })),
      'four parts': `${alice.token}.x`, 'two parts': alice.token.split('.').slice(0, 2).join('.'), 'no parts': '..',
      'a broken letter': `${alice.token.slice(0, -3)}!!!`, 'a long one': `${'x'.repeat(9000)}.y.z`,
    };
    for (const [name, token] of Object.entries(bad)) {
      const reply = await server.client().get('/api/v1/users/me', { headers: { authorization: `Bearer ${token}` } });
      assert.equal(reply.status, 401, `${name}: ${reply.text}`);
      refused(reply, 'unauthenticated');
      assert.match(reply.headers.get('www-authenticate'), /^Bearer/);
    }
    ok(await alice.get('/api/v1/users/me', { headers: { authorization: `Bearer ${resign(alice.token, secret)}` } }));
    for (const header of ['Bearer', 'Basic YWxpY2U6eA==', `Token ${alice.token}`, `Bearer ${alice.token} x`])
      refused(await server.client().get('/api/v1/users/me', { headers: { authorization: header } }), 'unauthenticated');
  });

  test('a role in a token counts for nothing: the account\'s does', async () => {
    const token = resign(alice.token, secret, (c) => ({ ...c, role: 'admin' }));
    refused(await server.client().get('/api/v1/audit', { headers: { authorization: `Bearer ${token}` } }), 'permission_denied');
  });
});

describe('SQL and HTML', () => {
  const payloads = ["'; DROP TABLE meetings; --", '" OR ""="', "' UNION SELECT password_hash FROM users --", '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>', '"><svg/onload=alert(1)>', '{{7*7}}${7*7}', '%s%n%x', '../../../etc/passwd', '\u202etxt.exe', '${jndi:ldap://x}'];

  test('in every text field of every operation: stored as text or refused, never obeyed', async () => {
    const meeting = ok(await alice.post('/api/v1/meetings', { title: 'Fields' }), 201);
    const { id: place } = ok(await alice.get(`/api/v1/meetings/${meeting.id}/participants`)).participants[0];
    const params = { id: meeting.id, participant_id: place, invitation_id: meeting.id, user_id: alice.user.id, code: 'x' };
    const schemaOf = (ref) => document.components.schemas[ref.split('/').at(-1)];
    let tried = 0;
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { requestBody, operationId, parameters = [] }] of Object.entries(methods)) {
        if (/^auth_(Login|RevokeToken|ChangePassword|Register)$/.test(operationId)) continue; // throttled, or asked below
        const content = requestBody?.content?.['application/json'];
        const names = content ? Object.entries(schemaOf(content.schema.$ref).properties).filter(([, p]) => p.type === 'string').map(([n]) => n) : [];
        const queries = parameters.filter((p) => p.in === 'query' && p.schema?.type === 'string').map((p) => p.name);
        const target = path.replace(/\{(\w+)\}/g, (whole, name) => (path.startsWith('/api/v1/users') && name === 'id' ? alice.user.id : params[name]));
        for (const payload of payloads) {
          for (const name of names) {
            if (name in params && path.includes(`{${name}}`)) continue;
            const reply = await alice.ask(method.toUpperCase(), target, { body: { [name]: payload } });
            assert.ok(reply.status < 500, `${operationId} ${name} ${payload}: ${reply.status} ${reply.text}`);
            assert.match(reply.headers.get('content-type'), /^application\/json/);
            assert.equal(reply.headers.get('x-content-type-options'), 'nosniff');
            tried += 1;
          }
          for (const name of queries) {
            const reply = await alice.ask(method.toUpperCase(), `${target}?${name}=${encodeURIComponent(payload)}`);
            assert.ok(reply.status < 500, `${operationId} ?${name} ${payload}: ${reply.status} ${reply.text}`);
            tried += 1;
          }
        }
      }
    }
    assert.ok(tried > 300, `${tried} fields were tried`);
    ok(await alice.get(`/api/v1/users/${admin.user.id}`));
  });

  test('what may be any text comes back as it was', async () => {
    for (const payload of payloads.filter((p) => !p.includes('\u202e'))) {
      const made = ok(await alice.post('/api/v1/meetings', { title: payload, description: payload }), 201);
      const seen = ok(await alice.get(`/api/v1/meetings/${made.id}`));
      assert.equal(seen.title, payload);
      assert.equal(seen.description, payload);
      ok(await alice.put('/api/v1/users/me', { nickname: payload.slice(0, 30), description: payload }));
      assert.equal(ok(await alice.get('/api/v1/users/me')).description, payload);
    }
    for (const payload of payloads) {
      isError(await server.client().post('/api/v1/auth/register', { username: payload, password: 'long enough' }), 400, payload);
      isError(await server.client().post('/api/v1/auth/login', { login: payload, password: payload }),
        payload.includes('\u202e') ? 400 : 401, payload);
      const found = await alice.get(`/api/v1/users?q=${encodeURIComponent(payload)}`);
      if (payload.includes('\u202e')) isError(found, 400, payload);
      else assert.deepEqual(ok(found).users.filter((u) => u.id === admin.user.id), []);
    }
    ok(await server.client().post('/api/v1/auth/login', { login: 'alice', password: 'alice-password' }));
  });
});
