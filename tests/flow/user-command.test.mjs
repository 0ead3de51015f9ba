// `parlance user`, with a server running on the data directory and without: the same words, the same outcome.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { endsSoon, ok, refused } from './check.mjs';
import { eventually, makeDataDir, run, startServer } from './server.mjs';

function user(dataDir, ...words) {
  const input = typeof words.at(-1) === 'object' ? words.pop().input : '';
  const done = run(['user', ...words], { dataDir, input });
  return { ...done, out: done.stdout.trim(), err: done.stderr.trim() };
}

function works(done) {
  assert.equal(done.status, 0, done.err);
  return done.out;
}

function fails(done, pattern) {
  assert.equal(done.status, 1, done.out);
  assert.match(done.err, pattern);
}

// id, role, state, name, e-mail
function rows(out) {
  return out.split('\n').filter(Boolean).map((line) => line.split(/\s+/));
}

for (const isRunning of [true, false]) {
  describe(`parlance user, ${isRunning ? 'the server running' : 'no server running'}`, () => {
    const dataDir = makeDataDir();
    let server;
    before(async () => { if (isRunning) server = await startServer({ dataDir }); });
    after(async () => { await server?.stop(); });

    test('creates, lists, changes and disables accounts', () => {
      works(user(dataDir, 'create', 'root', '--email', 'root@example.org', { input: 'a good password\n' }));
      works(user(dataDir, 'create', 'helper', '--admin', { input: 'another password\n' }));
      const made = works(user(dataDir, 'create', 'plain'));
      assert.match(made, /^password: \S{16}$/m);
      fails(user(dataDir, 'create', 'plain'), /username: belongs to another account/);
      fails(user(dataDir, 'create', 'short', { input: 'short\n' }), /at least 8 characters/);
      let list = rows(works(user(dataDir, 'list')));
      assert.deepEqual(list.map((row) => [row[3], row[1], row[2]]),
        [['helper', 'admin', 'active'], ['plain', 'user', 'active'], ['root', 'admin', 'active']]);
      assert.equal(list[2][4], 'root@example.org');
      works(user(dataDir, 'disable', 'root@example.org'));
      fails(user(dataDir, 'disable', 'helper'), /last administrator/);
      fails(user(dataDir, 'set-role', 'helper', 'user'), /last administrator/);
      works(user(dataDir, 'set-role', 'plain', 'admin'));
      fails(user(dataDir, 'set-role', 'plain', 'king'), /admin or user/);
      fails(user(dataDir, 'disable', 'nobody-at-all'), /no such user|not found/);
      list = rows(works(user(dataDir, 'list')));
      assert.deepEqual(list.map((row) => [row[3], row[1], row[2]]),
        [['helper', 'admin', 'active'], ['plain', 'admin', 'active'], ['root', 'admin', 'disabled']], 'the disabled too');
      assert.equal(rows(works(user(dataDir, 'list', 'root@ex')))[0][3], 'root', 'found by e-mail');
      works(user(dataDir, 'enable', list[2][0]));
      works(user(dataDir, 'password', 'root', { input: 'a better password\n' }));
      fails(user(dataDir, 'set-password', 'root', { input: 'x\n' }), /8 to 128/);
    });

    test('what was done is there for who signs in', async () => {
      server ??= await startServer({ dataDir });
      const root = server.client();
      refused(await root.post('/api/v1/auth/login', { login: 'root', password: 'a good password' }), 'unauthenticated');
      await root.signIn('root', 'a better password');
      const audit = await eventually(async () => {
        const { entries } = ok(await root.get('/api/v1/audit?limit=100'));
        return entries.some((entry) => entry.action === 'role_changed') && entries;
      });
      assert.ok(audit.some((entry) => entry.action === 'user_disabled' && entry.remote_addr === 'local'));
    });
  });
}

describe('a running server and the command', () => {
  let server;
  before(async () => { server = await startServer(); });
  after(async () => { await server.stop(); });

  test('a disabled account is out within a second', async () => {
    await server.register('admin');
    const bob = await server.register('bob');
    ok(await bob.get('/api/v1/users/me'));
    works(user(server.dataDir, 'disable', 'bob'));
    await endsSoon(bob);
  });

  test('a new password ends all sign-ins, and is on record', async () => {
    const cleo = await server.register('cleo');
    works(user(server.dataDir, 'set-password', 'cleo', { input: 'made by the owner\n' }));
    await endsSoon(cleo);
    await server.client().signIn('cleo', 'made by the owner');
    const admin = server.client();
    await admin.signIn('admin', 'admin-password');
    const { entries } = ok(await admin.get('/api/v1/audit?action=password_reset'));
    assert.equal(entries[0].remote_addr, 'local');
  });

  test('the socket is for its owner alone, and outlives nonsense', async () => {
    const file = path.join(server.dataDir, 'parlance.sock');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const nonsense = [
      Buffer.alloc(0), Buffer.from([0, 0, 0]), Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.from([0, 0, 0, 4, 1, 2, 3, 4]),
      Buffer.from([0, 0, 0, 0]), Buffer.concat([Buffer.from([0, 0, 0, 6]), Buffer.from([0x0a, 4]), Buffer.from('evil')]),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    ];
    for (const bytes of nonsense) {
      await new Promise((resolve) => {
        const socket = net.connect(file, () => socket.end(bytes));
        socket.on('data', () => {}).on('close', resolve).on('error', () => {});
      });
    }
    assert.equal(rows(works(user(server.dataDir, 'list'))).length, 3);
  });
});
