// `parlance chat` before a server that says what a real one says at bad moments only: answers that come while another is waited
// for, "later" to each request, a connection cut in between, frames that make no sense. Nothing said may be lost, doubled or
// overtaken by it, and whoever is asked to end, or has nobody to talk to for longer than one waits, ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { binary } from '../server.mjs';

const conversation_id = '01M80000000000000000000000';
const busy = { code: 'unavailable', message: 'not now', retry_after_ms: 100 };

// Knows one conversation; `answer(name, id, request)` answers in its place where it returns true, `greet` says "ready", and
// `renew(token)` gives the answer to a refresh token.
class Server {
  constructor(answer = () => false, { greet = () => this.tell({ ready: {} }), renew = () => null } = {}) {
    this.answer = answer;
    this.asked = [];
    this.keys = [];
    this.texts = [];
    this.connections = 0;
    this.token = 'x';
    this.http = http.createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      const tokens = renew(JSON.parse(body).refresh_token);
      response.writeHead(tokens ? 200 : 401).end(JSON.stringify(tokens ?? { error: { message: 'no such token' } }));
    });
    this.sockets = new WebSocketServer({
      server: this.http, verifyClient: ({ req }) => req.headers.authorization === `Bearer ${this.token}`,
    });
    this.isListening = once(this.http.listen(0, '127.0.0.1'), 'listening');
    this.sockets.on('connection', (socket) => {
      this.socket = socket;
      this.connections += 1;
      greet.call(this);
      socket.on('message', (data) => this.take(JSON.parse(data)));
    });
  }

  get url() { return `http://127.0.0.1:${this.http.address().port}`; }

  tell(frame) { this.socket.send(JSON.stringify(frame)); }

  take({ id, ...rest }) {
    const [[name, request]] = Object.entries(rest);
    this.asked.push(name);
    if (!this.answer.call(this, name, id, request)) this.tell({ id, [name]: this.reply(name, request) });
  }

  reply(name, request) {
    const rev = this.texts.length;
    const replies = {
      get_conversation: () => ({ rev }),
      get_message_history: () => ({ messages: [] }),
      open: () => ({}),
      sync: () => ({ cursor: 'c', open_changes: [{ rev: rev || 1, changes: [], has_more: false }] }),
      get_changes: () => ({ rev, changes: [], has_more: false }),
      send_message: () => this.keep(request),
    };
    return replies[name]();
  }

  keep({ client_msg_id, content }) {
    const known = this.keys.indexOf(client_msg_id);
    if (known < 0) {
      this.keys.push(client_msg_id);
      this.texts.push(content.text);
    }
    return { conversation_id, seq: known < 0 ? this.keys.length : known + 1, is_duplicate: known >= 0 };
  }

  async close() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.http.close();
    await once(this.http, 'close');
  }
}

// Follows until it ends: by itself, or by what `meanwhile` does with the child.
async function follow(server, lines, words = [], { meanwhile, stdin = 'pipe', session } = {}) {
  await server.isListening;
  const env = { PATH: process.env.PATH, ...(!session && { PARLANCE_CHAT_SERVER: server.url, PARLANCE_CHAT_TOKEN: 'x' }) };
  const child = spawn(binary, ['chat', 'follow', conversation_id, '--until-sent', '--json', ...words], {
    env, stdio: [stdin, 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
  const late = setTimeout(() => child.kill('SIGKILL'), 50_000);
  const isClosed = once(child, 'close');
  meanwhile?.(child);
  if (lines) child.stdin.end(lines.join('\n'));
  const [status] = await isClosed;
  clearTimeout(late);
  const told = output.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return {
    status, errors,
    acknowledged: told.flatMap((line) => line.acknowledged ?? []),
    changes: told.flatMap((line) => line.change ?? []),
  };
}

describe('parlance chat, answered at bad moments', { concurrency: true }, () => {
  const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`);
  const servers = [];
  const serve = (answer, more) => {
    servers.push(new Server(answer, more));
    return servers.at(-1);
  };
  const dir = mkdtempSync(path.join(tmpdir(), 'parlance-chat-'));
  const keep = (name, content) => {
    writeFileSync(path.join(dir, name), typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
    return path.join(dir, name);
  };
  const kept = (file) => JSON.parse(readFileSync(file, 'utf8'));
  const sayAll = async (server) => {
    const { status, errors, acknowledged } = await follow(server, lines);
    assert.equal(status, 0, errors);
    assert.deepEqual(server.texts, lines);
    assert.deepEqual(acknowledged.map((one) => one.text), lines);
    return errors;
  };
  after(() => {
    rmSync(dir, { recursive: true });
    return Promise.all(servers.map((server) => server.close()));
  });

  // The answer to one send is held back until what was missed is asked for, and comes just then.
  const holdOne = (answerOf) => {
    let held = null;
    return function answer(name, id, request) {
      if (name === 'send_message' && request.content.text === 'line 3' && !held) {
        held = { id, ...answerOf.call(this, request) };
        this.tell({ missed: {} });
        return true;
      }
      if (name === 'get_changes') this.tell(held);
      return false;
    };
  };

  test('the answer to a send comes while what was missed is asked for',
    () => sayAll(serve(holdOne(function taken(request) { return { send_message: this.keep(request) }; }))));

  test('it is "later", and comes just then', () => sayAll(serve(holdOne(() => ({ error: busy })))));

  test('it is that nobody is signed in on this connection, and comes just then', () => {
    let held = null;
    return sayAll(serve(function answer(name, id, request) {
      if (name === 'send_message' && request.content.text === 'line 3' && !held) {
        held = { id, error: { code: 'unauthenticated', message: 'sign in first' } };
        this.tell({ missed: {} });
        return true;
      }
      if (name === 'get_changes') this.tell(held);
      return name === 'get_changes' && this.connections === 1;
    }));
  });

  test('every request is answered "later" the first time, and nothing is said of it', async () => {
    const seen = new Set();
    const server = serve(function answer(name, id, request) {
      const what = name + (request.client_msg_id ?? '');
      if (seen.has(what)) return false;
      seen.add(what);
      this.tell({ id, error: { ...busy, code: seen.size % 2 ? 'unavailable' : 'resource_exhausted' } });
      return true;
    });
    assert.equal(await sayAll(server), '');
    for (const name of ['open', 'sync', 'get_conversation']) assert.ok(server.asked.filter((one) => one === name).length > 1, name);
  });

  test('the connection is cut instead of an answer', () => {
    return sayAll(serve(function answer(name, id, request) {
      if (name !== 'send_message' || this.texts.length % 5 || this.keys.includes(request.client_msg_id)) return false;
      this.keep(request);
      this.socket.terminate();
      return true;
    }));
  });

  test('who is busy for longer than one waits is named', async () => {
    const server = serve(function answer(name, id) {
      this.tell({ id, error: busy });
      return true;
    });
    const { status, errors } = await follow(server, lines, ['--wait', '1']);
    assert.equal(status, 1);
    assert.match(errors, /too busy; try again later/);
    assert.ok(server.asked.length < 20, 'with pauses');
  });

  test('a refusal is no reason to wait', async () => {
    const server = serve(function answer(name, id, request) {
      if (name !== 'send_message' || request.content.text !== 'line 3') return false;
      this.tell({ id, error: { code: 'permission_denied', message: 'muted' } });
      return true;
    });
    const { status, acknowledged } = await follow(server, lines);
    assert.equal(status, 0);
    assert.deepEqual(acknowledged.map((one) => one.text), lines.filter((line) => line !== 'line 3'));
  });

  test('sends alone are answered "later", for longer than one waits', async () => {
    const server = serve(function answer(name, id) {
      if (name !== 'send_message') return false;
      this.tell({ id, error: { ...busy, retry_after_ms: 0 } });
      return true;
    });
    const state = path.join(dir, 'later.json');
    const { status, errors } = await follow(server, lines, ['--wait', '1', '--state', state]);
    assert.equal(status, 1);
    assert.match(errors, /too busy; try again later/);
    assert.ok(server.asked.length < 20, 'with pauses');
    assert.equal(kept(state).outbox[0].text, lines[0]);
  });

  test('a send that is never answered is sent again', () => {
    const silent = new Set();
    return sayAll(serve(function answer(name, id, request) {
      if (name !== 'send_message' || request.content.text !== 'line 3' || silent.size) return false;
      silent.add(this.keep(request));
      return true;
    }));
  });

  test('an answer to a send that says nothing is no acknowledgement, and the line is kept', async () => {
    const state = path.join(dir, 'nothing.json');
    const { status, errors } = await follow(serve(function answer(name, id, request) {
      if (name !== 'send_message' || request.content.text !== 'line 3') return false;
      this.tell({ id });
      return true;
    }), lines, ['--state', state]);
    assert.equal(status, 1);
    assert.match(errors, /makes no sense/);
    const server = serve();
    assert.equal((await follow(server, [], ['--state', state])).status, 0);
    assert.equal(server.texts[0], 'line 3');
  });

  test('a server whose frames make no sense is left, after as long as one waits', async () => {
    const server = serve(undefined, { greet() {
      this.tell({ ready: {} });
      this.socket.send('{');
    } });
    const { status } = await follow(server, lines, ['--wait', '1']);
    assert.equal(status, 1);
    assert.ok(server.connections < 20, 'with pauses');
  });

  test('who is asked to end does, also while there is no connection', async () => {
    const server = serve(undefined, { greet() { this.socket.terminate(); } });
    const { status } = await follow(server, null, ['--wait', '3600'], { meanwhile: (child) => {
      server.sockets.on('connection', () => server.connections === 3 && child.kill('SIGTERM'));
    } });
    assert.equal(status, 0);
  });

  test('nothing to say is no reason not to look', async () => {
    const change = { conversation_id, type: 'message', prev_rev: 0, rev: 1, message: { seq: 1, content: { text: 'missed' } } };
    const state = keep('missed.json', { conversation_id, cursor: 'c', rev: 0, outbox: [] });
    const server = serve(function answer(name, id) {
      if (name !== 'sync') return false;
      this.tell({ id, sync: { cursor: 'd', open_changes: [{ rev: 1, changes: [change], has_more: false }] } });
      return true;
    });
    const { status, changes } = await follow(server, [], ['--read-only', '--state', state]);
    assert.equal(status, 0);
    assert.deepEqual(changes, [change]);
    assert.equal(kept(state).rev, 1);
  });

  test('a log that was set back is followed from where it stands', async () => {
    const state = keep('back.json', { conversation_id, cursor: 'c', rev: 120, outbox: [] });
    const server = serve(function answer(name, id) {
      if (name !== 'sync') return false;
      this.tell({ id, sync: { cursor: 'd', is_reset: true, open_changes: [{ rev: 100, changes: [], has_more: false }] } });
      return true;
    });
    assert.equal((await follow(server, [], ['--state', state])).status, 0);
    assert.equal(kept(state).rev, 100);
  });

  test('what another program keeps is not written over', async () => {
    for (const content of ['a letter\n', { conversation_id: '01M80000000000000000000001', cursor: 'c', rev: 1, outbox: [{ key: 'k', text: 't' }] }]) {
      const state = keep('other.json', content);
      const before = readFileSync(state, 'utf8');
      const { status, errors } = await follow(serve(), lines, ['--state', state]);
      assert.equal(status, 1);
      assert.match(errors, /other\.json is/);
      assert.equal(readFileSync(state, 'utf8'), before);
    }
    assert.equal((await follow(serve(), lines, ['--state', keep('empty.json', '')])).status, 0);
  });

  test('a line with a NUL is not sent, and the others are', async () => {
    const server = serve();
    const { status, errors } = await follow(server, ['one', 'a\0b', 'two']);
    assert.equal(status, 0);
    assert.match(errors, /was not sent/);
    assert.deepEqual(server.texts, ['one', 'two']);
  });

  test('input that cannot be read is over', async () => {
    const { status, errors } = await follow(serve(), null, [], { stdin: openSync(dir) });
    assert.equal(status, 0);
    assert.match(errors, /standard input/);
  });

  test('what nobody read was not seen', async () => {
    const state = path.join(dir, 'unread.json');
    const server = serve(function answer(name) {
      if (name === 'sync') setImmediate(() => this.tell({ change: { conversation_id, type: 'message', prev_rev: 1, rev: 2 } }));
      return false;
    });
    const { status, errors } = await follow(server, null, ['--state', state], { meanwhile: (child) => child.stdout.destroy() });
    assert.equal(status, 1);
    assert.match(errors, /standard output/);
    assert.equal(kept(state).rev, 1);
  });

  const signIn = (server, n) => ({ server: server.url, user_id: 'u', access_token: `access-${n}`, refresh_token: `refresh-${n}` });

  test('a sign-in that another process renewed is taken from the file, not renewed with the spent token', async () => {
    const spent = [];
    const server = serve(undefined, { renew(token) {
      spent.push(token);
      return null;
    } });
    await server.isListening;
    server.token = 'access-0';
    const session = keep('session.json', signIn(server, 0));
    server.sockets.once('connection', (socket) => {
      server.token = 'access-1';
      keep('session.json', signIn(server, 1));
      socket.close(4401);
    });
    const { status, errors } = await follow(server, lines, ['--session', session], { session });
    assert.equal(status, 0, errors);
    assert.deepEqual(server.texts, lines);
    assert.deepEqual(spent, []);
  });

  test('a token that ends is renewed, also when the one in the file has ended, too', async () => {
    const spent = [];
    const server = serve(undefined, { renew(token) {
      spent.push(token);
      server.token = 'access-2';
      return token === 'refresh-1' ? { access_token: 'access-2', refresh_token: 'refresh-2', user: { id: 'u' } } : null;
    } });
    await server.isListening;
    server.token = 'access-0';
    const session = keep('ends.json', signIn(server, 0));
    server.sockets.once('connection', (socket) => {
      server.token = null;
      keep('ends.json', signIn(server, 1));
      socket.close(4401);
    });
    const { status, errors } = await follow(server, lines, ['--session', session], { session });
    assert.equal(status, 0, errors);
    assert.deepEqual(server.texts, lines);
    assert.deepEqual(spent, ['refresh-1']);
    assert.equal(kept(session).refresh_token, 'refresh-2');
  });

  test('a file in which somebody else has signed in meanwhile stays as it is', async () => {
    const server = serve(undefined, { renew() {
      server.token = 'access-2';
      return { access_token: 'access-2', refresh_token: 'refresh-2', user: { id: 'u' } };
    } });
    await server.isListening;
    server.token = 'access-0';
    const session = keep('taken.json', signIn(server, 0));
    server.sockets.once('connection', (socket) => {
      server.token = null;
      keep('taken.json', { ...signIn(server, 1), user_id: 'v' });
      socket.close(4401);
    });
    const { status, errors } = await follow(server, lines, ['--session', session], { session });
    assert.equal(status, 0, errors);
    assert.deepEqual(server.texts, lines);
    assert.equal(kept(session).refresh_token, 'refresh-1');
  });

  test('a token that ends and is nobody\'s to renew is the end', async () => {
    const server = serve();
    server.sockets.once('connection', (socket) => socket.close(4401));
    const { status, errors } = await follow(server, lines);
    assert.equal(status, 1);
    assert.match(errors, /not good any more/);
  });
});
