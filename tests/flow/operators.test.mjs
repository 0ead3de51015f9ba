// What the machine's owner does with what is kept: backup of a busy server and the way back.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ok } from './check.mjs';
import { binary, environment, makeDataDir, run, startServer } from './server.mjs';
import { Talker } from './talker.mjs';

const text = (t) => ({ kind: 'text', text: t });
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

// As run(), but the test goes on meanwhile.
function runBeside(args, options) {
  const child = spawn(binary, args, { env: environment(options.dataDir, options.env) });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => { stdout += data; });
  child.stderr.on('data', (data) => { stderr += data; });
  return new Promise((resolve) => { child.once('exit', (status) => resolve({ status, stdout, stderr })); });
}

function works(done) {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
}

function fails(done, pattern) {
  assert.equal(done.status, 1, done.stdout);
  assert.match(done.stderr, pattern);
}

describe('backup and restore', () => {
  const dirs = [];
  const place = () => { const dir = makeDataDir(); dirs.push(dir); return dir; };
  const dataDir = place();
  const shelf = place();
  let server; let ann; let bob; let conversation; let cursor;
  const backup = path.join(shelf, 'first');

  before(async () => {
    server = await startServer({ dataDir });
    [ann, bob] = [await server.register('ann'), await server.register('bob')];
    ok(await ann.ask('PUT', '/api/v1/users/me/avatar', { raw: png, headers: { 'content-type': 'image/png' } }));
  });
  after(async () => {
    await server?.stop();
    for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
  });

  test('a busy server is copied whole, and loses no beat', async () => {
    const wire = await Talker.open(server, ann);
    conversation = (await wire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'first', content: text('0') })).conversation_id;
    const acknowledged = [];
    let isOver = false;
    const load = (async () => {
      for (let i = 1; !isOver; i += 1) acknowledged.push((await wire.say(conversation, `message ${i}`)).seq);
    })();
    while (acknowledged.length < 50) await new Promise((resolve) => { setTimeout(resolve, 5); });
    const before = acknowledged.length;
    const said = works(await runBeside(['backup', backup], { dataDir }));
    assert.match(said, /files in .*first/);
    isOver = true;
    await load;
    assert.ok(acknowledged.length > before, 'it went on meanwhile');
    assert.deepEqual(acknowledged, acknowledged.map((_, i) => i + 2));
    cursor = (await wire.ok('sync', {})).cursor;
    await wire.close();
    assert.equal(spawnSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: backup }).status, 0);
    assert.equal(statSync(backup).mode & 0o077, 0);
    assert.ok(!existsSync(`${backup}.partial`));
  });

  test('what is there is never written over', async () => {
    fails(run(['backup', backup], { dataDir }), /first/);
    writeFileSync(path.join(shelf, 'file'), 'mine');
    fails(run(['backup', path.join(shelf, 'file')], { dataDir }), /file/);
    assert.equal(readFileSync(path.join(shelf, 'file'), 'utf8'), 'mine');
    fails(run(['backup', path.join(shelf, 'no', 'such', 'place')], { dataDir }), /cannot make/);
    fails(run(['restore', backup], { dataDir }), /not empty/);
  });

  test('it comes back whole, and a client that knew more loads anew', async () => {
    const seen = ok(await ann.get(`/api/v1/conversations/${conversation}`)).last_seq;
    await server.stop();
    const other = place();
    assert.match(works(run(['restore', backup], { dataDir: other })), /restored/);
    assert.match(works(run(['verify'], { dataDir: other })), /all is well/);
    server = await startServer({ dataDir: other });
    const again = server.client();
    again.token = ann.token; // the key came along, so the sign-in counts
    const wire = await Talker.open(server, again);
    const sync = await wire.ok('sync', { cursor });
    assert.equal(sync.is_reset, true);
    const { last_seq: kept } = ok(await again.get(`/api/v1/conversations/${conversation}`));
    assert.ok(kept >= 51 && kept <= seen, `${kept} of ${seen}`);
    const { messages } = ok(await again.get(`/api/v1/conversations/${conversation}/messages?limit=200`));
    assert.equal(messages.at(-1).seq, kept);
    assert.equal((await wire.say(conversation, 'afterwards')).seq, kept + 1);
    await wire.close();
    const me = ok(await again.get('/api/v1/users/me'));
    const picture = await fetch(server.url + me.avatar_url, { headers: { authorization: `Bearer ${ann.token}` } });
    assert.equal(picture.status, 200, 'the picture came along');
  });

  test('a stopped directory is backed up as well', async () => {
    await server.stop();
    const second = path.join(shelf, 'second');
    works(run(['backup', second], { dataDir: server.dataDir }));
    const other = place();
    works(run(['restore', second], { dataDir: path.join(other, 'made', 'anew') }));
    works(run(['verify'], { dataDir: path.join(other, 'made', 'anew') }));
    fails(run(['backup', path.join(shelf, 'third')], { dataDir: place() }), /nothing to back up/);
    server = undefined;
  });

  test('what was altered is refused, and nothing stays behind', () => {
    const copy = (name) => { const to = path.join(shelf, name); spawnSync('cp', ['-r', backup, to]); return to; };
    const blob = (dir) => readFileSync(path.join(dir, 'SHA256SUMS'), 'utf8').match(/ (blobs\/\S+)/)[1];
    const cases = [
      ['database', (dir) => appendFileSync(path.join(dir, 'store/parlance.db'), 'x'), /altered/],
      ['blob', (dir) => rmSync(path.join(dir, blob(dir))), /missing/],
      ['sums', (dir) => appendFileSync(path.join(dir, 'SHA256SUMS'), '\n'), /SHA256SUMS was altered/],
      ['info', (dir) => rmSync(path.join(dir, 'backup.json')), /no backup/],
      ['nonsense', (dir) => writeFileSync(path.join(dir, 'backup.json'), '[]'), /cannot be read/],
      ['newer', (dir) => writeFileSync(path.join(dir, 'backup.json'), readFileSync(path.join(dir, 'backup.json'), 'utf8').replace('"format": 1', '"format": 2')), /newer/],
    ];
    for (const [name, spoil, pattern] of cases) {
      const dir = copy(name);
      spoil(dir);
      const target = path.join(place(), 'data');
      fails(run(['restore', dir], { dataDir: target }), pattern);
      assert.deepEqual(existsSync(target) ? readdirSync(target) : [], [], name);
    }
    mkdirSync(path.join(shelf, 'empty'));
    fails(run(['restore', path.join(shelf, 'empty')], { dataDir: place() }), /no backup/);
  });
});

describe('retention', () => {
  test('what is older than the server keeps is gone, clients hear of it, and the log is whole', async () => {
    const dataDir = makeDataDir();
    let server = await startServer({ dataDir, env: { PARLANCE_MESSAGES_KEEP_MAX_S: '2', PARLANCE_MESSAGES_RETENTION_EVERY_S: '1' } });
    const [ann, bob] = [await server.register('ann'), await server.register('bob')];
    const [here, there] = [await Talker.open(server, ann), await Talker.open(server, bob)];
    const { conversation_id: id } = await here.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('old') });
    for (let i = 0; i < 4; i += 1) await here.say(id, `old ${i}`);
    const { cursor } = await there.ok('sync', {});
    const told = await there.next('change', (c) => c.type === 'conversation');
    assert.equal(told.conversation.first_seq, 6);
    assert.equal(told.actor_id, '');
    assert.deepEqual(ok(await bob.get(`/api/v1/conversations/${id}/messages`)).messages, []);
    const { own } = ok(await bob.get(`/api/v1/conversations/${id}`));
    assert.deepEqual([own.unread_count, own.visible_from_seq], [0, 5]);
    const sync = await there.ok('sync', { cursor, open: [{ conversation_id: id, rev: 2 }] });
    assert.equal(sync.is_reset, false);
    assert.deepEqual(sync.open_changes[0].changes.map((c) => c.type), ['conversation']);
    assert.equal((await there.say(id, 'anew')).seq, 6);
    await Promise.all([here.close(), there.close()]);
    await server.stop();
    assert.match(works(run(['verify'], { dataDir })), /all is well/);
    server = await startServer({ dataDir });
    const back = await Talker.open(server, await server.client().signIn('ann', 'ann-password'));
    assert.ok((await back.ok('sync', { cursor })).conversations.length === 1);
    await back.close();
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
});
