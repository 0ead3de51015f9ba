// Accounts end to end: registering, signing in, renewing, ending, passwords, profiles, search, the audit log.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { endsSoon, ok, refused } from './check.mjs';
import { eventually, startServer } from './server.mjs';

let server;
let admin;

before(async () => {
  server = await startServer();
  admin = await server.register('root', { email: 'root@example.org', nickname: 'Root' });
});
after(() => server?.stop());

describe('registering', () => {
  test('the first account is administrator, the next is not', async () => {
    assert.equal(admin.user.role, 'admin');
    const bob = await server.register('bob.reg');
    assert.equal(bob.user.role, 'user');
    assert.equal(bob.user.nickname, 'bob.reg');
    assert.equal(bob.user.locale, 'en');
    assert.equal(bob.user.time_zone, 'UTC');
  });

  test('the answer signs in: both tokens, user, CSRF token and cookies', async () => {
    const client = server.client();
    const reply = await client.post('/api/v1/auth/register', { username: 'carol.reg', password: 'long enough' });
    const body = ok(reply, 201);
    assert.ok(body.access_token && body.refresh_token && body.csrf_token && body.session_id);
    assert.equal(body.expires_in_s, 24 * 3600);
    assert.equal(body.refresh_expires_in_s, 168 * 3600);
    const refresh = reply.setCookies.find((line) => line.startsWith('parlance_refresh='));
    assert.match(refresh, /; HttpOnly/);
    assert.match(refresh, /; SameSite=Strict/);
    assert.match(refresh, /; Path=\/api\/v1\/auth/);
    assert.equal(reply.headers.get('cache-control'), 'no-store');
    client.token = body.access_token;
    assert.equal(ok(await client.get('/api/v1/users/me')).username, 'carol.reg');
  });

  test('a name or an e-mail address belongs to one account, whatever its case', async () => {
    const client = server.client();
    await server.register('dora', { email: 'Dora@Example.org' });
    refused(await client.post('/api/v1/auth/register', { username: 'DORA', password: 'long enough' }),
      'already_exists', /username/);
    refused(await client.post('/api/v1/auth/register',
      { username: 'dora2', email: 'dora@example.ORG', password: 'long enough' }), 'already_exists', /email/);
  });

  const bad = {
    'no name': [{ password: 'long enough' }, /username/],
    'a short name': [{ username: 'ab', password: 'long enough' }, /username/],
    'a long name': [{ username: 'x'.repeat(33), password: 'long enough' }, /username/],
    'a name with spaces': [{ username: 'two words', password: 'long enough' }, /username/],
    'a short password': [{ username: 'erna', password: '1234567' }, /password/],
    'a long password': [{ username: 'erna', password: 'x'.repeat(129) }, /password/],
    'no e-mail address': [{ username: 'erna', password: 'long enough', email: 'nobody' }, /email/],
    'no language': [{ username: 'erna', password: 'long enough', locale: 'not a locale' }, /locale/],
    'no time zone': [{ username: 'erna', password: 'long enough', time_zone: 'Mars/Olympus' }, /time_zone/],
    'a path for a time zone': [{ username: 'erna', password: 'long enough', time_zone: '../../etc/passwd' }, /time_zone/],
    'an unknown field': [{ username: 'erna', password: 'long enough', role: 'admin' }, /role/],
  };
  for (const [name, [body, pattern]] of Object.entries(bad)) {
    test(`refused: ${name}`, async () => {
      refused(await server.client().post('/api/v1/auth/register', body), 'invalid_argument', pattern);
    });
  }
});

describe('signing in', () => {
  test('by id, e-mail address or name', async () => {
    const made = await server.register('frida', { email: 'frida@example.org' });
    for (const login of [made.user.id, 'frida@example.org', 'FRIDA@example.org', 'frida', 'Frida']) {
      const client = await server.client().signIn(login, 'frida-password');
      assert.equal(client.user.id, made.user.id);
    }
  });

  test('a wrong password and an unknown name are answered alike', async () => {
    const client = server.client();
    await server.register('gerda');
    const wrong = refused(await client.post('/api/v1/auth/login', { login: 'gerda', password: 'not this' }), 'unauthenticated');
    const unknown = refused(await client.post('/api/v1/auth/login', { login: 'nobody-at-all', password: 'not this' }),
      'unauthenticated');
    assert.equal(wrong.message, unknown.message);
  });

  test('guessing is slowed down, alike for known and unknown names, and says when to come back', async () => {
    await server.register('hanna');
    const login = (name, password) => server.client().post('/api/v1/auth/login', { login: name, password });
    for (const name of ['hanna', 'no-hanna']) {
      let tries = 0;
      let reply;
      do {
        reply = await login(name, `guess ${tries}`);
        tries += 1;
      } while (reply.status === 401 && tries < 12);
      refused(reply, 'resource_exhausted');
      assert.ok(tries >= 7, `${name}: a few are free, not ${tries}`);
      assert.ok(Number(reply.headers.get('retry-after')) >= 1);
      if (name === 'no-hanna') continue;
      // The right password too has to wait, else the wait would tell which guess was right.
      const until = Date.now() + 900 * Number(reply.headers.get('retry-after'));
      const right = await login('hanna', 'hanna-password');
      if (Date.now() < until) refused(right, 'resource_exhausted');
    }
  });
});

describe('renewing', () => {
  test('a refresh token is used up by its use; its successor works', async () => {
    const one = await server.register('ida');
    const two = ok(await server.client().post('/api/v1/auth/refresh', { refresh_token: one.refreshToken }));
    assert.notEqual(two.refresh_token, one.refreshToken);
    assert.equal(two.user.username, 'ida');
    const three = ok(await server.client().post('/api/v1/auth/refresh', { refresh_token: two.refresh_token }));
    assert.notEqual(three.refresh_token, two.refresh_token);
  });

  test('a used token that comes back ends the whole sign-in', async () => {
    const one = await server.register('jana');
    const two = ok(await server.client().post('/api/v1/auth/refresh', { refresh_token: one.refreshToken }));
    ok(await server.client().post('/api/v1/auth/refresh', { refresh_token: two.refresh_token }));
    refused(await server.client().post('/api/v1/auth/refresh', { refresh_token: one.refreshToken }), 'unauthenticated');
    refused(await server.client().post('/api/v1/auth/refresh', { refresh_token: two.refresh_token }), 'unauthenticated');
    await endsSoon(one);
    const log = ok(await admin.get('/api/v1/audit?action=refresh_reused'));
    assert.equal(log.entries[0].actor_id, one.user.id);
  });

  test('an access token is no refresh token, and the other way round', async () => {
    const client = await server.register('karin');
    refused(await server.client().post('/api/v1/auth/refresh', { refresh_token: client.token }), 'unauthenticated');
    client.token = client.refreshToken;
    refused(await client.get('/api/v1/users/me'), 'unauthenticated');
  });
});

describe('cookies of browsers', () => {
  test('renew with cookie and CSRF token; without the token nothing happens', async () => {
    const browser = await server.register('lena');
    const cookie = { cookie: browser.cookieHeader };
    refused(await server.client().post('/api/v1/auth/refresh', {}, { headers: cookie }), 'permission_denied', /CSRF/);
    refused(await server.client().post('/api/v1/auth/refresh', {}, { headers: { ...cookie, 'x-csrf-token': 'wrong' } }),
      'permission_denied', /CSRF/);
    const other = await server.register('lena2');
    refused(await server.client().post('/api/v1/auth/refresh', {},
      { headers: { ...cookie, 'x-csrf-token': other.csrfToken } }), 'permission_denied', /CSRF/);
    const renewed = ok(await server.client().post('/api/v1/auth/refresh', {},
      { headers: { ...cookie, 'x-csrf-token': browser.csrfToken } }));
    assert.equal(renewed.user.username, 'lena');
  });

  test('the CSRF token can be asked for with the cookie', async () => {
    const browser = await server.register('mona');
    const asked = ok(await server.client().get('/api/v1/auth/csrf', { headers: { cookie: browser.cookieHeader } }));
    assert.equal(asked.csrf_token, browser.csrfToken);
    refused(await server.client().get('/api/v1/auth/csrf'), 'unauthenticated');
  });

  test('the cookie alone signs nobody in elsewhere', async () => {
    const browser = await server.register('nina');
    refused(await server.client().get('/api/v1/users/me', { headers: { cookie: browser.cookieHeader } }), 'unauthenticated');
  });

  test('signing out by cookie needs the CSRF token, ends the sign-in and clears the cookies', async () => {
    const browser = await server.register('olga');
    const headers = { cookie: browser.cookieHeader };
    refused(await server.client().post('/api/v1/auth/logout', {}, { headers }), 'permission_denied', /CSRF/);
    const out = await server.client().post('/api/v1/auth/logout', {}, { headers: { ...headers, 'x-csrf-token': browser.csrfToken } });
    ok(out);
    for (const line of out.setCookies) assert.match(line, /=; .*Max-Age=0/);
    assert.equal(out.setCookies.length, 2);
    await endsSoon(browser);
  });

  test('a page of another site is refused before anything is asked', async () => {
    const browser = await server.register('paula');
    const headers = { cookie: browser.cookieHeader, 'x-csrf-token': browser.csrfToken, origin: 'https://evil.example' };
    refused(await server.client().post('/api/v1/auth/refresh', {}, { headers }), 'permission_denied');
    refused(await server.client().post('/api/v1/auth/logout', {}, { headers }), 'permission_denied');
    ok(await browser.get('/api/v1/users/me'));
  });
});

describe('ending', () => {
  test('after signing out access and refresh token are void at once', async () => {
    const client = await server.register('quinta');
    ok(await client.post('/api/v1/auth/logout'));
    refused(await client.get('/api/v1/users/me'), 'unauthenticated');
    refused(await server.client().post('/api/v1/auth/refresh', { refresh_token: client.refreshToken }), 'unauthenticated');
  });

  test('sign-ins are listed, named by device, and ended one by one or all but this', async () => {
    const here = await server.register('rita');
    const phone = server.client();
    phone.take(ok(await phone.post('/api/v1/auth/login', { login: 'rita', password: 'rita-password', device: 'My phone' })));
    const tablet = await server.client().signIn('rita', 'rita-password');
    const { sessions } = ok(await here.get('/api/v1/auth/sessions'));
    assert.equal(sessions.length, 3);
    assert.deepEqual(sessions.filter((s) => s.is_current).length, 1);
    const mine = sessions.find((s) => s.device === 'My phone');
    assert.equal(mine.remote_addr, '127.0.0.1');
    assert.equal(ok(await here.delete(`/api/v1/auth/sessions/${mine.id}`)).revoked_count, 1);
    await endsSoon(phone);
    assert.equal(ok(await here.delete('/api/v1/auth/sessions/others')).revoked_count, 1);
    await endsSoon(tablet);
    ok(await here.get('/api/v1/users/me'));
  });

  test('nobody ends the sign-in of somebody else', async () => {
    const one = await server.register('sara');
    const two = await server.register('tina');
    const [session] = ok(await one.get('/api/v1/auth/sessions')).sessions;
    refused(await two.delete(`/api/v1/auth/sessions/${session.id}`), 'not_found');
    refused(await admin.delete(`/api/v1/auth/sessions/${session.id}`), 'not_found');
    refused(await two.delete('/api/v1/auth/sessions/nonsense'), 'not_found');
    ok(await one.get('/api/v1/users/me'));
  });
});

describe('passwords', () => {
  test('changing needs the old one, ends the other sign-ins and keeps this', async () => {
    const here = await server.register('ulla');
    const there = await server.client().signIn('ulla', 'ulla-password');
    refused(await here.post('/api/v1/auth/password', { old_password: 'wrong', new_password: 'a new password' }),
      'permission_denied', /old_password/);
    refused(await here.post('/api/v1/auth/password', { old_password: 'ulla-password', new_password: 'short' }),
      'invalid_argument', /new_password/);
    ok(await here.post('/api/v1/auth/password', { old_password: 'ulla-password', new_password: 'a new password' }));
    await endsSoon(there);
    ok(await here.get('/api/v1/users/me'));
    refused(await server.client().post('/api/v1/auth/login', { login: 'ulla', password: 'ulla-password' }), 'unauthenticated');
    await server.client().signIn('ulla', 'a new password');
  });

  test('an administrator gives a new one, which ends all sign-ins', async () => {
    const vera = await server.register('vera');
    refused(await vera.post(`/api/v1/auth/users/${admin.user.id}/password`, { new_password: 'taken over' }), 'permission_denied');
    ok(await admin.post(`/api/v1/auth/users/${vera.user.id}/password`, { new_password: 'given by root' }));
    await endsSoon(vera);
    await server.client().signIn('vera', 'given by root');
    refused(await admin.post('/api/v1/auth/users/nobody/password', { new_password: 'given by root' }), 'not_found');
  });
});

describe('profiles', () => {
  test('every field can be changed and stays changed; absent ones stay', async () => {
    const wilma = await server.register('wilma');
    const fields = {
      nickname: 'Wilma Würzig', email: 'wilma@example.org', phone: '+49 170 1234567', description: 'Two\nlines',
      locale: 'zh-cn', time_zone: 'Europe/Berlin',
    };
    ok(await wilma.put('/api/v1/users/me', fields));
    const shown = ok(await wilma.get('/api/v1/users/me'));
    assert.deepEqual({ ...shown, ...fields, phone: '+491701234567', locale: 'zh-CN' }, shown);
    ok(await wilma.put('/api/v1/users/me', { nickname: 'W.' }));
    const again = ok(await wilma.get('/api/v1/users/me'));
    assert.equal(again.nickname, 'W.');
    assert.equal(again.email, 'wilma@example.org');
    ok(await wilma.put('/api/v1/users/me', { phone: '', description: '' }));
    assert.equal(ok(await wilma.get('/api/v1/users/me')).phone, '');
  });

  test('others see e-mail and phone masked, administrators see them', async () => {
    const xenia = await server.register('xenia', { email: 'xenia.secret@example.org' });
    ok(await xenia.put('/api/v1/users/me', { phone: '+491701234567' }));
    const yves = await server.register('yves');
    const seen = ok(await yves.get(`/api/v1/users/${xenia.user.id}`));
    assert.ok(!seen.email.includes('secret') && seen.email.includes('*'), seen.email);
    assert.ok(!seen.phone.includes('1701234567') && seen.phone.includes('*'), seen.phone);
    const found = ok(await yves.get('/api/v1/users?q=xenia')).users[0];
    assert.equal(found.email, seen.email);
    assert.equal(ok(await admin.get(`/api/v1/users/${xenia.user.id}`)).email, 'xenia.secret@example.org');
  });

  test('nobody changes somebody else, or gives themselves powers', async () => {
    const zoe = await server.register('zoe');
    refused(await zoe.put(`/api/v1/users/${admin.user.id}`, { nickname: 'Fool' }), 'permission_denied');
    refused(await zoe.put('/api/v1/users/me', { role: 'admin' }), 'permission_denied');
    refused(await zoe.put('/api/v1/users/me', { is_disabled: false }), 'permission_denied');
    refused(await zoe.put('/api/v1/users/me', { id: admin.user.id, nickname: 'Fool' }), 'invalid_argument', /contradicts/);
    assert.equal(ok(await zoe.get('/api/v1/users/me')).role, 'user');
  });

  test('a new role counts at once; the last administrator stays', async () => {
    const anton = await server.register('anton');
    refused(await anton.get('/api/v1/audit'), 'permission_denied');
    ok(await admin.put(`/api/v1/users/${anton.user.id}`, { role: 'admin' }));
    await eventually(async () => (await anton.get('/api/v1/audit')).status === 200);
    ok(await admin.put(`/api/v1/users/${anton.user.id}`, { role: 'user' }));
    await eventually(async () => (await anton.get('/api/v1/audit')).status === 403);
    refused(await admin.put('/api/v1/users/me', { role: 'user' }), 'failed_precondition', /last/);
    refused(await admin.put('/api/v1/users/me', { is_disabled: true }), 'failed_precondition', /last/);
  });

  test('a disabled account is out within a second and cannot come back', async () => {
    const bert = await server.register('bert');
    ok(await admin.put(`/api/v1/users/${bert.user.id}`, { is_disabled: true }));
    await endsSoon(bert);
    refused(await server.client().post('/api/v1/auth/refresh', { refresh_token: bert.refreshToken }), 'unauthenticated');
    refused(await server.client().post('/api/v1/auth/login', { login: 'bert', password: 'bert-password' }), 'permission_denied');
    refused(await server.client().post('/api/v1/auth/login', { login: 'bert', password: 'wrong one' }), 'unauthenticated');
    ok(await admin.put(`/api/v1/users/${bert.user.id}`, { is_disabled: false }));
    await server.client().signIn('bert', 'bert-password');
  });

  test('a picture is what it claims to be, and is served as a file', async () => {
    const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      'base64');
    const cilli = await server.register('cilli');
    const put = (raw) => cilli.ask('PUT', '/api/v1/users/me/avatar', { raw, body: '', headers: { 'content-type': 'image/png' } });
    const profile = ok(await put(png));
    const file = await fetch(server.url + profile.avatar_url);
    assert.equal(file.headers.get('content-type'), 'image/png');
    assert.match(file.headers.get('content-security-policy'), /sandbox/);
    assert.deepEqual(Buffer.from(await file.arrayBuffer()), png);
    refused(await put(Buffer.from('<svg onload="alert(1)">')), 'invalid_argument');
    refused(await put(Buffer.alloc(600 << 10)), 'body_too_large');
    ok(await cilli.put('/api/v1/users/me', { avatar_url: '' }));
    refused(await server.client().get(profile.avatar_url), 'not_found');
  });
});

describe('search', () => {
  test('by name and nickname, in pages, without jokers', async () => {
    for (let i = 0; i < 5; i++) await server.register(`seek${i}`, { nickname: `Suche ${i}` });
    const names = [];
    let cursor = '';
    do {
      const page = ok(await admin.get(`/api/v1/users?q=seek&limit=2&cursor=${encodeURIComponent(cursor)}`));
      assert.ok(page.users.length <= 2);
      names.push(...page.users.map((user) => user.username));
      cursor = page.next_cursor;
    } while (cursor);
    assert.deepEqual(names, ['seek0', 'seek1', 'seek2', 'seek3', 'seek4']);
    assert.equal(ok(await admin.get('/api/v1/users?q=SUCHE%203')).users[0].username, 'seek3');
    assert.deepEqual(ok(await admin.get('/api/v1/users?q=s%25k')).users, []);
    assert.deepEqual(ok(await admin.get('/api/v1/users?q=see_')).users, []);
    refused(await admin.get('/api/v1/users?q=x'), 'invalid_argument', /q/);
    assert.ok(ok(await admin.get('/api/v1/users?limit=100')).users.length > 4, 'administrators may list all');
    const nosy = await server.register('nosy');
    refused(await nosy.get('/api/v1/users?limit=100'), 'invalid_argument', /q/);
    refused(await server.client().get('/api/v1/users?q=seek'), 'unauthenticated');
  });
});

describe('the audit log', () => {
  test('has who, what, whom, when and from where, in pages, for administrators', async () => {
    const dieter = await server.register('dieter');
    await server.client().post('/api/v1/auth/login', { login: 'dieter', password: 'wrong one' });
    ok(await admin.put(`/api/v1/users/${dieter.user.id}`, { role: 'admin' }));
    ok(await dieter.post('/api/v1/auth/logout'));
    const of = async (action) => ok(await admin.get(`/api/v1/audit?action=${action}&limit=500`)).entries;
    await eventually(async () => (await of('role_changed')).some((e) => e.target === dieter.user.id));
    const change = (await of('role_changed')).find((e) => e.target === dieter.user.id);
    assert.equal(change.actor_id, admin.user.id);
    assert.equal(change.remote_addr, '127.0.0.1');
    assert.equal(change.detail, 'user -> admin');
    assert.ok(Math.abs(change.at_ms - Date.now()) < 60_000);
    assert.ok((await of('login_failed')).some((e) => e.target === dieter.user.id));
    assert.ok((await of('logout')).some((e) => e.actor_id === dieter.user.id));
    const all = [];
    let cursor = '';
    do {
      const page = ok(await admin.get(`/api/v1/audit?limit=7&cursor=${cursor}`));
      all.push(...page.entries);
      cursor = page.next_cursor;
    } while (cursor);
    assert.equal(new Set(all.map((e) => e.id)).size, all.length, 'no line twice');
    assert.deepEqual(all.map((e) => e.at_ms), all.map((e) => e.at_ms).sort((a, b) => b - a), 'newest first');
    refused(await admin.get('/api/v1/audit?cursor=nonsense'), 'invalid_argument', /cursor/);
  });

  test('neither log nor audit holds a password, a token or a whole e-mail address', async () => {
    const text = server.output + (await admin.get('/api/v1/audit?limit=500')).text;
    for (const secret of ['-password', 'long enough', 'a new password', 'frida@example.org', admin.token, admin.refreshToken])
      assert.ok(!text.includes(secret), `found ${secret}`);
  });
});
