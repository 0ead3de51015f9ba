// What the machine's owner does with what is kept: backup of a busy server and the way back.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { binary, environment, eventually, makeDataDir, notSqlite, run, startServer } from './server.mjs';
import { Talker } from './talker.mjs';

const text = (t) => ({ kind: 'text', text: t });
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

// As run(), but the test goes on meanwhile.
function runBeside(args, options) {
  const child = spawn(binary, args, { env: environment(options.dataDir, options.env) });
  child.stdin.end(options.input ?? '');
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

describe('backup and restore', { skip: notSqlite }, () => {
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
      for (let i = 1; !isOver; i += 1) {
        acknowledged.push((await wire.say(conversation, `message ${i}`)).seq);
        await new Promise((resolve) => { setTimeout(resolve, 8); }); // a socket may send 200 frames a second
      }
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
    fails(run(['backup', path.join(shelf, 'third')], { dataDir: place() }), /there is nothing in/);
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
    const told = await there.next('change', (c) => c.type === 'conversation' && c.conversation.first_seq === 6);
    assert.equal(told.actor_id, '');
    assert.deepEqual(ok(await bob.get(`/api/v1/conversations/${id}/messages`)).messages, []);
    const { own } = ok(await bob.get(`/api/v1/conversations/${id}`));
    assert.deepEqual([own.unread_count, own.visible_from_seq], [0, 5]);
    const sync = await there.ok('sync', { cursor, open: [{ conversation_id: id, rev: 2 }] });
    assert.equal(sync.is_reset, false);
    assert.ok(sync.open_changes[0].changes.every((c) => c.type === 'conversation'));
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

describe('erase', () => {
  const dataDir = makeDataDir();
  let server;
  before(async () => { server = await startServer({ dataDir }); });
  after(async () => {
    await server?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  // A whole file in one request.
  async function upload(client, bytes) {
    const headers = { 'tus-resumable': '1.0.0', 'upload-length': String(bytes.length), 'content-type': 'application/offset+octet-stream' };
    const reply = await client.ask('POST', '/api/v1/files/uploads', { raw: bytes, headers });
    assert.equal(reply.status, 201, reply.text);
    return reply.headers.get('location').split('/').at(-1);
  }

  const texts = async (client, id) => ok(await client.get(`/api/v1/conversations/${id}/messages?limit=200`)).messages
    .map((m) => (m.recalled_at_ms ? '-' : m.content.text ?? m.content.kind));

  test('nobody but a running server erases, and it asks before', async () => {
    const root = await server.register('root'); // the first: administrator
    const dan = await server.register('dan');
    fails(run(['erase', '--user', 'dan'], { dataDir: makeDataDir() }), /no server is running/);
    fails(run(['erase', '--user', 'nobody', '--yes'], { dataDir }), /no such user|not found/i);
    fails(await runBeside(['erase', '--user', 'dan'], { dataDir, input: 'no\n' }), /nothing was erased/);
    fails(await runBeside(['erase', '--user', 'root', '--yes'], { dataDir }), /last administrator/);
    assert.equal(run(['erase'], { dataDir }).status, 2);
    ok(await dan.get('/api/v1/users/me'));
    ok(await root.get('/api/v1/users/me'));
  });

  test('what a person said and was is gone everywhere; the logs are whole', async () => {
    const [ann, bob, cleo] = [await server.register('ann', { email: 'ann@example.org' }), await server.register('bob'), await server.register('cleo')];
    ok(await ann.ask('PUT', '/api/v1/users/me/avatar', { raw: png, headers: { 'content-type': 'image/png' } }));
    const avatar = ok(await ann.get('/api/v1/users/me')).avatar_url;
    const [annWire, bobWire] = [await Talker.open(server, ann), await Talker.open(server, bob)];
    const { conversation_id: direct } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('confidential') });
    await bobWire.say(direct, 'answer');
    const { id: group } = ok(await ann.post('/api/v1/groups', { kind: 'group', title: 'Ours', user_ids: [cleo.user.id, bob.user.id] }), 201);
    for (let i = 0; i < 120; i += 1) await annWire.say(group, `mine ${i}`);
    await bobWire.say(group, 'his');
    const hook = ok(await ann.post('/api/v1/webhooks', { name: 'A hook', conversation_id: group }), 201);
    const dora = await server.register('dora');
    ok(await ann.post(`/api/v1/groups/${group}/invitations`, { user_ids: [dora.user.id] }));
    ok(await ann.put(`/api/v1/conversations/${group}/own`, { draft: 'half a thought' }));
    const [shown, waiting] = [await upload(ann, 'shown bytes'), await upload(ann, 'waiting bytes')];
    const file = (id) => ({ kind: 'file', attachments: [{ file_id: id }] });
    await annWire.ok('send_message', { conversation_id: direct, client_msg_id: 'f', content: file(shown) });
    await annWire.ok('send_message', { conversation_id: direct, client_msg_id: 'w', content: file(waiting), send_at_ms: Date.now() + 3_600_000 });
    assert.equal((await bob.get(`/api/v1/conversations/${direct}/files/${shown}`)).text, 'shown bytes');
    await eventually(async () => ok(await bob.get('/api/v1/messages/search?query=confidential')).messages.length === 1);

    assert.match(works(await runBeside(['erase', '--user', 'ann@example.org', '--yes'], { dataDir })), /done/);
    assert.equal((await annWire.closed).code, 4401);
    refused(await ann.get('/api/v1/users/me'), 'unauthenticated');
    refused(await server.client().post('/api/v1/auth/login', { login: 'ann', password: 'ann-password' }), 'unauthenticated');
    assert.deepEqual(await texts(bob, direct), ['-', 'answer', '-']);
    refused(await bob.get(`/api/v1/conversations/${direct}/files/${shown}`), 'not_found');
    const kept = readdirSync(path.join(dataDir, 'blobs'), { recursive: true }).map((name) => path.join(dataDir, 'blobs', name)).filter((name) => statSync(name).isFile());
    assert.ok(!kept.some((name) => /(shown|waiting) bytes/.test(readFileSync(name, 'utf8'))), kept.join());
    assert.deepEqual(await texts(bob, group), [...Array(120).fill('-'), 'his']);
    assert.equal(ok(await bob.get('/api/v1/messages/search?query=confidential')).messages.length, 0);
    assert.ok((await bobWire.next('change', (c) => c.type === 'recalled' && c.conversation_id === direct)).message.recalled_by, ann.user.id);
    const left = await bobWire.next('change', (c) => c.type === 'member' && c.member.user_id === ann.user.id && c.member.state === 'gone');
    assert.equal(left.member.nickname, '');
    const now = ok(await cleo.get(`/api/v1/conversations/${group}`));
    assert.ok([bob.user.id, cleo.user.id].includes(now.owner_id));
    const speaker = await bob.get(`/api/v1/users/${hook.bot_id}`);
    assert.ok(speaker.status === 404 || speaker.body.is_disabled, 'who spoke for a webhook of hers is gone too');
    refused(await server.client().post(hook.url, { text: 'hello?' }), 'not_found');
    assert.deepEqual(ok(await dora.get('/api/v1/groups/invitations')).invitations, []);
    const shadow = ok(await bob.get(`/api/v1/users/${ann.user.id}`));
    assert.equal(shadow.nickname, '(erased)');
    assert.ok(!JSON.stringify(shadow).includes('ann@') && !shadow.avatar_url);
    assert.equal((await fetch(server.url + avatar, { headers: { authorization: `Bearer ${bob.token}` } })).status, 404);
    await bobWire.close();
    const again = await server.register('ann', { email: 'ann@example.org' });
    assert.notEqual(again.user.id, ann.user.id, 'the name is free');
  });

  test('a server that is killed goes on with it', async () => {
    const [eve, bob] = [await server.register('eve'), await server.client().signIn('bob', 'bob-password')];
    const wire = await Talker.open(server, eve);
    const { conversation_id: id } = await wire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('0') });
    for (let i = 1; i < 60; i += 1) await wire.say(id, String(i));
    const child = spawn(binary, ['erase', '--user', 'eve', '--yes'], { env: environment(dataDir) });
    const exited = new Promise((resolve) => { child.once('exit', resolve); });
    await new Promise((resolve) => { child.stdout.once('data', resolve); });
    await server.stop({ signal: 'SIGKILL' });
    await exited;
    await wire.closed;
    server = await startServer({ dataDir });
    const back = await server.client().signIn('bob', 'bob-password');
    await eventually(async () => (await texts(back, id)).every((t) => t === '-'), { ms: 15_000, every: 200 });
    refused(await server.client().post('/api/v1/auth/login', { login: 'eve', password: 'eve-password' }), 'unauthenticated');
    await server.stop();
    assert.match(works(run(['verify'], { dataDir })), /all is well/);
    server = undefined;
  });
});

describe('export', () => {
  const dataDir = makeDataDir();
  const shelf = makeDataDir();
  let server; let ann; let bob; let conversation;
  before(async () => {
    server = await startServer({ dataDir });
    [ann, bob] = [await server.register('ann', { email: 'ann@example.org' }), await server.register('bob')];
    ok(await ann.ask('PUT', '/api/v1/users/me/avatar', { raw: png, headers: { 'content-type': 'image/png' } }));
    const wire = await Talker.open(server, ann);
    const other = await Talker.open(server, bob);
    conversation = (await wire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('"quoted"\nand 中文') })).conversation_id;
    await other.say(conversation, 'his own words');
    for (let i = 0; i < 5; i += 1) await wire.say(conversation, `mine ${i}`);
    await wire.ok('recall_message', { id: conversation, seq: 3 });
    ok(await ann.post('/api/v1/meetings', { title: 'Mine' }), 201);
    await Promise.all([wire.close(), other.close()]);
  });
  after(async () => {
    await server?.stop();
    for (const dir of [dataDir, shelf]) rmSync(dir, { recursive: true, force: true });
  });

  const lines = (dir, name) => readFileSync(path.join(dir, `${name}.jsonl`), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

  function check(dir) {
    const [profile] = lines(dir, 'profile');
    assert.deepEqual([profile.id, profile.username, profile.email, profile.is_disabled], [ann.user.id, 'ann', 'ann@example.org', false]);
    const messages = lines(dir, 'messages');
    assert.equal(messages.length, 6);
    assert.ok(messages.every((m) => m.sender_id === ann.user.id && m.conversation_id === conversation));
    assert.equal(messages.find((m) => m.seq === 1).content.text, '"quoted"\nand 中文');
    assert.equal(messages.find((m) => m.seq === 3).content, undefined);
    assert.ok(lines(dir, 'conversations').some((c) => c.id === conversation));
    assert.equal(lines(dir, 'meetings')[0].title, 'Mine');
    assert.ok(lines(dir, 'sessions')[0].remote_addr);
    assert.ok(lines(dir, 'audit').length > 0);
    assert.ok(readFileSync(path.join(dir, 'files', 'picture')).equals(png));
    const all = readdirSync(dir).filter((name) => name.endsWith('.jsonl')).map((name) => readFileSync(path.join(dir, name), 'utf8')).join();
    assert.ok(!all.includes('his own words') && !/argon2|password_hash|token/.test(all), 'nothing of others, no secrets');
    assert.ok(!existsSync(path.join(dir, 'avatars')) && !existsSync(`${dir}.partial`));
    assert.equal(statSync(dir).mode & 0o077, 0);
  }

  test('of a running server', async () => {
    const dir = path.join(shelf, 'running');
    works(await runBeside(['export', '--user', 'ann@example.org', dir], { dataDir }));
    check(dir);
    fails(run(['export', '--user', 'ann', dir], { dataDir }), /already exists/);
    fails(run(['export', '--user', 'nobody', path.join(shelf, 'no')], { dataDir }), /no such user/);
    assert.equal(run(['export', path.join(shelf, 'no')], { dataDir }).status, 2);
    assert.ok(!existsSync(path.join(shelf, 'no')));
  });

  test('of a stopped one', async () => {
    await server.stop();
    server = undefined;
    const dir = path.join(shelf, 'stopped');
    works(run(['export', '--user', ann.user.id, dir], { dataDir }));
    check(dir);
  });
});
