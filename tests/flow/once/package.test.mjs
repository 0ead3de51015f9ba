// The Debian package: what is in it, and that the program and the configuration out of it serve.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary, startServer } from '../server.mjs';

const root = path.dirname(path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url)))));
const tool = (name) => spawnSync(name, ['--version']).error === undefined;
const skip = !['dpkg-deb', 'dpkg-shlibdeps', 'strip'].every(tool) && 'dpkg-dev and binutils make packages';
let dir;
let deb;

function run(command, args) {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(done.status, 0, `${command}: ${done.stderr}`);
  return done.stdout;
}

before(() => {
  if (skip) return;
  dir = mkdtempSync(path.join(tmpdir(), 'parlance-deb-'));
  deb = run(path.join(root, 'tools/build_deb.sh'), [path.dirname(path.dirname(binary)), dir]).trim();
  run('dpkg-deb', ['-x', deb, path.join(dir, 'root')]);
});
after(() => { if (dir) rmSync(dir, { recursive: true, force: true }); });

test('it says what it needs and what is configuration', { skip }, () => {
  const control = run('dpkg-deb', ['-I', deb]);
  for (const library of ['libc6', 'libssl3', 'libsqlite3-0', 'libuv1'])
    assert.match(control, new RegExp(`Depends:.*\\b${library}\\b`), `${library} is linked`);
  assert.match(control, /Recommends:.*libavformat/, 'FFmpeg is loaded');
  const list = run('dpkg-deb', ['-c', deb]);
  assert.match(list, /root\/root .*\.\/usr\/bin\/parlance$/m);
  assert.equal(run('dpkg-deb', ['-f', deb, 'Version']).trim(), run(binary, ['version']).match(/parlance (\S+)/)[1]);
  run('dpkg-deb', ['-e', deb, path.join(dir, 'control')]);
  assert.equal(readFileSync(path.join(dir, 'control/conffiles'), 'utf8'), '/etc/parlance/parlance.yaml\n');
});

test('its units name what is there, and systemd reads them', { skip }, () => {
  for (const name of ['parlance.service', 'parlance@.service']) {
    const file = path.join(dir, 'root/lib/systemd/system', name);
    for (const [, program] of readFileSync(file, 'utf8').matchAll(/(\/usr\/bin\/parlance)/g))
      assert.ok(statSync(path.join(dir, 'root', program)).mode & 0o111, program);
    if (tool('systemd-analyze')) {
      const said = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file], { encoding: 'utf8' });
      assert.equal(said.status, 0, said.stdout + said.stderr);
    }
  }
});

test('the program out of it serves with the configuration out of it', { skip }, async () => {
  const program = path.join(dir, 'root/usr/bin/parlance');
  const config = path.join(dir, 'root/etc/parlance/parlance.yaml');
  const server = await startServer({ program, args: ['serve', '--config', config] });
  try {
    assert.equal((await fetch(`${server.url}/ready`)).status, 200);
    assert.equal((await fetch(`${server.url}/`)).status, 200, 'the pages are inside');
    const client = server.client();
    await client.signUp('ada', { password: 'ada-password' }); // the first needs no invitation
    assert.equal((await client.get('/api/v1/users/me')).body.role, 'admin');
    const second = await server.client().post('/api/v1/auth/register', { username: 'bob', password: 'bob-password' });
    assert.equal(second.status, 403, 'nobody registers without an invitation');
  } finally {
    await server.stop();
  }
  assert.ok(existsSync(path.join(dir, 'root/usr/share/doc/parlance/copyright')));
});
