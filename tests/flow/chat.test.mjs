// `parlance chat`, a client written from docs/messaging.md alone, against a server: two of them talk, the server is killed under
// them, one of them is killed itself, and nothing is lost, doubled or told to others.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ok } from './check.mjs';
import { Client, binary, eventually, makeDataDir, startServer } from './server.mjs';

const home = mkdtempSync(path.join(tmpdir(), 'parlance-chat-'));
const dataDir = makeDataDir();
let server;
let people;
let group;

const environment = { HOME: home, PATH: process.env.PATH, TZ: 'UTC' };

// One `parlance chat`: its lines as objects, its end as a promise.
class Chat {
  constructor(words, env = {}) {
    this.child = spawn(binary, ['chat', ...words], { env: { ...environment, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.output = '';
    this.errors = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => { this.output += text; });
    this.child.stderr.setEncoding('utf8').on('data', (text) => { this.errors += text; });
    this.child.stdin.on('error', () => {});
    this.ended = new Promise((resolve) => { this.child.once('close', (status, signal) => resolve({ status, signal })); });
  }

  get lines() { return this.output.split('\n').filter(Boolean).map((line) => JSON.parse(line)); }
  get acknowledged() { return this.lines.flatMap((line) => line.acknowledged ?? []); }

  // What it was told, by text.
  get texts() { return this.lines.flatMap((line) => (line.change?.type === 'message' ? line.change.message.content.text : [])); }

  say(text) { this.child.stdin.write(`${text}\n`); }

  async kill(signal) {
    this.child.kill(signal);
    return this.ended;
  }
}

async function chat(words, { input, env } = {}) {
  const one = new Chat(words, env);
  one.child.stdin.end(input ?? '');
  const { status } = await one.ended;
  return { status, output: one.output, errors: one.errors };
}

const fileOf = (name) => path.join(home, `${name}.json`);

async function chatOk(name, ...words) {
  const reply = await chat(['--session', fileOf(name), '--json', ...words]);
  assert.equal(reply.status, 0, reply.errors);
  return reply.output.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

before(async () => {
  server = await startServer({ dataDir });
  people = { ann: await server.register('ann'), bob: await server.register('bob'), eve: await server.register('eve') };
  group = ok(await people.ann.post('/api/v1/groups', { kind: 'group', title: 'Terminal', user_ids: [people.bob.user.id] }), 201).id;
});

after(async () => {
  await server.stop();
  for (const dir of [home, dataDir]) rmSync(dir, { recursive: true, force: true });
});

describe('parlance chat', () => {
  test('signs in, and keeps it where nobody else can read it', async () => {
    for (const name of ['ann', 'bob', 'eve']) {
      const reply = await chat(['login', server.url, name, '--session', fileOf(name)], { input: `${name}-password\n` });
      assert.equal(reply.status, 0, reply.errors);
      assert.equal(statSync(fileOf(name)).mode & 0o777, 0o600);
      assert.ok(!reply.output.includes('password') && !readFileSync(fileOf(name), 'utf8').includes(`${name}-password`));
    }
    const wrong = await chat(['login', server.url, 'ann', '--session', fileOf('nobody')], { input: 'guess\n' });
    assert.equal(wrong.status, 1);
    assert.ok(wrong.errors && !existsSync(fileOf('nobody')));
    chmodSync(fileOf('eve'), 0o644);
    const open = await chat(['list', '--session', fileOf('eve')]);
    assert.match(open.errors, /others can read/);
    assert.equal(open.status, 1);
    chmodSync(fileOf('eve'), 0o600);
  });

  test('sends, once for a key; lists, reads, searches, replies', async () => {
    const [first] = await chatOk('ann', 'send', group, 'good 早上好 morning', '--id', 'k1');
    const [again] = await chatOk('ann', 'send', group, 'good 早上好 morning', '--id', 'k1');
    assert.equal(first.acknowledged.is_duplicate, false);
    assert.deepEqual([again.acknowledged.seq, again.acknowledged.is_duplicate], [first.acknowledged.seq, true]);
    const other = await chat(['send', group, 'something else', '--id', 'k1', '--session', fileOf('ann')]);
    assert.equal(other.status, 1);
    await chatOk('bob', 'send', group, 'to you too', '--reply', String(first.acknowledged.seq));
    const [listed] = await chatOk('bob', 'list');
    assert.equal(listed.conversation.id, group);
    const history = await chatOk('bob', 'history', group);
    assert.deepEqual(history.map((line) => line.message.content.text), ['good 早上好 morning', 'to you too']);
    assert.equal(history[1].message.reply_to_seq, first.acknowledged.seq);
    await eventually(async () => assert.equal((await chatOk('bob', 'search', '早上')).length, 1));
    const [direct] = await chatOk('ann', 'send', `@${people.bob.user.id}`, 'between us');
    assert.notEqual(direct.acknowledged.conversation_id, group);
    const shown = await chat(['history', group, '--session', fileOf('ann')], { env: {} });
    assert.match(shown.output, /\d{4}-\d\d-\d\d \d\d:\d\d {2}\S+: good 早上好 morning\n/);
  });

  test('several lines are shown as one message', async () => {
    ok(await people.bob.post('/api/v1/messages', { conversation_id: group, client_msg_id: 'two lines', content: { text: 'a\n  7  b' } }));
    const shown = await chat(['history', group, '--limit', '1', '--session', fileOf('ann')]);
    assert.match(shown.output, /: a\n {6}7 {2}b\n$/);
  });

  test('a stranger gets nothing, a token stands in for a sign-in', async () => {
    for (const action of ['history', 'follow']) {
      const reply = await chat([action, group, '--session', fileOf('eve')]);
      assert.equal(reply.status, 1);
      assert.match(reply.errors, /no such conversation/);
    }
    const env = { PARLANCE_CHAT_SERVER: server.url, PARLANCE_CHAT_TOKEN: people.bob.token };
    assert.equal((await chat(['list'], { env })).status, 0);
    const bad = await chat(['list'], { env: { ...env, PARLANCE_CHAT_TOKEN: 'x.y.z' } });
    assert.equal(bad.status, 1);
    assert.match(bad.errors, /not good/);
  });

  test('words that are wrong are told', async () => {
    for (const words of [[], ['dance'], ['send', group], ['list', '--no-such'], ['list', '--wait', 'long'], ['login', 'server', 'ann']])
      assert.equal((await chat(words)).status, 2, words.join(' '));
  });

  test('two follow; the server is killed, then one of them: nothing is lost or doubled', { timeout: 240_000 }, async () => {
    const state = path.join(home, 'state.json');
    const follow = (name, ...words) => new Chat(['follow', group, '--json', '--last', '0', '--session', fileOf(name), ...words]);
    const ann = follow('ann');
    let bob = follow('bob', '--state', state);
    const said = [];
    const bobsAcknowledged = [];
    const talk = (one, name, count) => {
      for (let i = 0; i < count; i += 1) {
        const text = `${name} ${said.length}`;
        said.push(text);
        one.say(text);
      }
    };
    await eventually(() => existsSync(state));
    await eventually(async () => { // ann is here
      if (!ann.output) ann.say('anybody?');
      await new Promise((resolve) => { setTimeout(resolve, 300); });
      return ann.output !== '';
    });
    for (let round = 0; round < 3; round += 1) {
      talk(ann, 'ann', 20);
      talk(bob, 'bob', 20);
      await new Promise((resolve) => { setTimeout(resolve, 20 * round); });
      await server.stop({ signal: 'SIGKILL', keepData: true });
      talk(ann, 'ann', 3);
      const port = String(server.port);
      server = await startServer({ dataDir, env: { PARLANCE_HTTP_PORT: port } });
      const heldOf = () => JSON.parse(readFileSync(state, 'utf8'));
      if (round === 1) { // what it has read from its input and not had acknowledged stands in its file
        await eventually(() => bob.acknowledged.length + heldOf().outbox.length >= 20);
      }
      await eventually(() => said.every((text) => ann.texts.includes(text)));
      await eventually(() => heldOf().outbox.length === 0);
      bobsAcknowledged.push(...bob.acknowledged);
      await bob.kill('SIGKILL');
      const told = bob.texts;
      talk(ann, 'ann', 3); // while bob is away
      bob = follow('bob', '--state', state);
      const missed = said.filter((text) => !told.includes(text) && text.startsWith('ann'));
      await eventually(() => missed.slice(-3).every((text) => bob.texts.includes(text)));
    }
    await eventually(() => said.every((text) => ann.texts.includes(text)));
    const ends = await Promise.all([ann, bob].map((one) => one.kill('SIGTERM')));
    assert.deepEqual(ends.map((end) => end.status), [0, 0]);

    const history = [];
    for (let at = 1e9; at > 1; at = history[0].seq) {
      const page = await chatOk('ann', 'history', group, '--limit', '200', '--before', String(at));
      if (!page.length) break;
      history.unshift(...page.map((line) => line.message));
    }
    assert.deepEqual(history.map((m) => m.seq), history.map((_, i) => i + 1));
    const texts = history.map((m) => m.content.text);
    for (const text of said) assert.equal(texts.filter((one) => one === text).length, 1, text);
    for (const name of ['ann', 'bob'])
      assert.deepEqual(texts.filter((t) => t.startsWith(`${name} `)), said.filter((t) => t.startsWith(`${name} `)), 'in the order said');
    const rev = ann.lines.flatMap((line) => line.change?.rev ?? []);
    assert.deepEqual(rev, [...new Set(rev)].sort((a, b) => a - b), 'told once, and in order');
    for (const one of [...ann.acknowledged, ...bobsAcknowledged])
      assert.equal(history[one.sent.seq - 1].client_msg_id, one.key, 'acknowledged where it stands');
  });

  test('a whole file is sent, then it ends; a sign-out ends it for good', async () => {
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
    const sent = await chat(['follow', group, '--until-sent', '--json', '--session', fileOf('ann')], { input: lines.join('\n') });
    assert.equal(sent.status, 0, sent.errors);
    const history = await chatOk('bob', 'history', group, '--limit', '50');
    assert.deepEqual(history.map((line) => line.message.content.text), lines);
    const kept = JSON.parse(readFileSync(fileOf('ann'), 'utf8'));
    writeFileSync(fileOf('away'), JSON.stringify({ ...kept, server: 'http://127.0.0.1:1' }), { mode: 0o600 });
    const away = await chat(['logout', '--session', fileOf('away')]);
    assert.deepEqual([away.status, existsSync(fileOf('away'))], [1, true], away.errors);
    writeFileSync(fileOf('ann'), JSON.stringify({ ...kept, access_token: 'has.ended.long-ago' }), { mode: 0o600 });
    assert.equal((await chat(['logout', '--session', fileOf('ann')])).status, 0);
    const again = await new Client(server.url).post('/api/v1/auth/refresh', { refresh_token: kept.refresh_token });
    assert.equal(again.status, 401, 'the sign-in itself has ended');
    assert.ok(!existsSync(fileOf('ann')));
    assert.match((await chat(['list', '--session', fileOf('ann')])).errors, /sign in first/);
  });

  test('no server is told in time', async () => {
    const env = { PARLANCE_CHAT_SERVER: 'http://127.0.0.1:1', PARLANCE_CHAT_TOKEN: 'x' };
    const reply = await chat(['list', '--wait', '1'], { env });
    assert.equal(reply.status, 1);
    assert.match(reply.errors, /no connection/);
  });
});
