// Every allocation and every call of the system that can fail does fail on the way of a message: once, and for ever
// (tests/shims). Nothing may be acknowledged that is not there afterwards, nothing may hang, and who lives on serves on. What
// people wrote down themselves is judged (history.mjs). FAULTS=all walks far; else a bounded selection.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { Faults } from '../faults.mjs';
import { History, judge } from '../history.mjs';
import { eventually, makeDataDir, run, startServer } from '../server.mjs';
import { Talker } from '../talker.mjs';
import { upload } from '../tus.mjs';

const isFar = process.env.FAULTS === 'all';
const LIMIT_MS = 10_000;
const CALLS = {
  malloc: 'ENOMEM', mmap: 'ENOMEM', open: 'EMFILE', read: 'EIO', pread64: 'EIO', write: 'EIO', pwrite64: 'EIO', writev: 'EPIPE',
  fsync: 'EIO', fdatasync: 'EIO', ftruncate64: 'EIO', rename: 'EIO', renameat: 'EIO', unlink: 'EIO', unlinkat: 'EIO', mkdir: 'ENOSPC',
  mkdirat: 'ENOSPC', accept4: 'EMFILE', socket: 'EMFILE', socketpair: 'EMFILE', recv: 'ECONNRESET', recvmsg: 'ECONNRESET',
  send: 'EPIPE', sendmsg: 'EPIPE', setsockopt: 'ENOBUFS', epoll_create1: 'EMFILE', epoll_ctl: 'ENOMEM', epoll_wait: 'EINTR',
  eventfd: 'EMFILE', pipe2: 'EMFILE', fork: 'EAGAIN', posix_spawn: 'EAGAIN', pthread_create: 'EAGAIN', getrandom: 'ENOSYS',
};
const DISK_FULL = ['write', 'pwrite64', 'ftruncate64', 'open'];
const FAR = [1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 17, 23, 31, 50, 80, 130, 200, 320, 500, 800, 1300, 2000];
const LASTS_MS = isFar ? 400 : 150; // what fails for ever
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function inTime(promise, what) {
  let timer;
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`hangs: ${what}`)), LIMIT_MS); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// One person sends, another hears; the server is started anew whenever a fault has ended it.
class Walk {
  constructor() {
    Object.assign(this, { faults: new Faults(), dataDir: makeDataDir(), history: new History(), count: 0, ends: 0, acks: 0, struck: 0 });
  }

  async begin() {
    await this.start();
    this.ann = await this.server.register('ann');
    this.bob = await this.server.register('bob');
    const { body } = await this.ann.post('/api/v1/groups', { kind: 'group', title: 'Faults', user_ids: [this.bob.user.id] });
    this.id = body.id;
    for (const { user } of [this.ann, this.bob]) {
      const asked = this.history.add('changing', { conversation: this.id, user: user.id, change: 'join' });
      this.history.add('changed', { conversation: this.id, user: user.id, asked });
    }
  }

  async start() {
    this.server = await startServer({ dataDir: this.dataDir, env: this.faults.env });
    this.isGone = false;
    const { server } = this;
    server.exited.then(() => { if (server === this.server) this.isGone = true; });
    for (const client of [this.ann, this.bob]) if (client) client.base = this.server.url;
  }

  note(what, more) { return this.history.add(what, { device: 'ann', user: this.ann.user.id, conversation: this.id, ...more }); }

  async send(wire, key, must = false) {
    this.note('send', { key, text: key });
    const answer = await wire.ask('send_message', { conversation_id: this.id, client_msg_id: key, content: { text: key } });
    if (answer.send_message) {
      this.note('acked', { key, seq: answer.send_message.seq, is_duplicate: answer.send_message.is_duplicate });
      if (!answer.send_message.is_duplicate) this.acks += 1;
    } else {
      this.note('refused', { key, code: answer.error.code });
      if (must) throw new Error(JSON.stringify(answer.error));
    }
  }

  // What a message passes on its way; refusals and cut connections are answers too.
  async path(label) {
    const wire = await Talker.open(this.server, this.ann);
    try {
      for (let i = 0; i < 3; i += 1) await this.send(wire, `${label} ${i}`);
      await wire.ask('sync', { cursor: '', open: [] });
      await wire.ask('search', { query: 'pwrite' });
      await upload(this.ann, Buffer.from(label), { name: 'a.txt' });
      await this.bob.get(`/api/v1/conversations/${this.id}/messages`);
    } finally {
      wire.socket.terminate();
    }
  }

  async strike(call, nth, error, isForEver) {
    this.count += 1;
    const label = `${this.count} ${call} ${nth} ${error} ${isForEver ? 'for ever' : 'once'}`;
    this.faults.arm(call, { nth, error, isForEver });
    const going = this.path(label).catch((problem) => { if (/^hangs/.test(problem.message)) throw problem; });
    await Promise.race([going, this.server.exited, pause(isForEver ? LASTS_MS : LIMIT_MS)]);
    if (this.faults.disarm()) this.struck += 1;
    await inTime(Promise.race([going, this.server.exited]), `${label}: what was asked while it failed`);
    await this.mustServe(label);
  }

  // Alive, or ended by itself and whole after a start.
  async mustServe(label) {
    await pause(5);
    const until = Date.now() + LIMIT_MS; // a full disk is looked at again after some seconds
    for (let tries = 1; !this.isGone; tries += 1) {
      const done = await inTime(this.tryOne(`${label} ${tries}`), `${label}: the next message`).catch((problem) => problem);
      if (!(done instanceof Error)) return;
      await Promise.race([this.server.exited, pause(200)]);
      assert.ok(this.isGone || Date.now() < until, `${label}: lives and does not serve: ${done.message}`);
    }
    this.ends += 1;
    await this.start();
    await this.tryOne(`${label} restarted`);
  }

  async tryOne(label) {
    const wire = await Talker.open(this.server, this.ann);
    await this.send(wire, `${label} after`, true).finally(() => wire.socket.terminate());
  }

  async readAll() {
    const asked = this.note('asking', {});
    const pages = [];
    for (let before = 0, more = true; more;) {
      const { body } = await this.ann.get(`/api/v1/conversations/${this.id}/messages?limit=200${before ? `&before_seq=${before}` : ''}`);
      pages.unshift(body.messages);
      more = body.has_older;
      before = body.messages[0]?.seq;
    }
    this.note('read', { asked, messages: pages.flat(), is_whole: true });
    return pages.flat().length;
  }

  descriptors() { return readdirSync(`/proc/${this.server.child.pid}/fd`).length; }

  async end() {
    const count = await this.readAll();
    await inTime(this.server.stop({ keepData: true, areErrorsExpected: true }), 'the end');
    assert.deepEqual(judge(this.history.records), []);
    const verdict = run(['verify'], { dataDir: this.dataDir });
    assert.equal(verdict.status, 0, verdict.stderr);
    this.faults.end();
    rmSync(this.dataDir, { recursive: true, force: true });
    return count;
  }
}

// Whatever fails, nothing stays open for each time; a connection cut in the middle has some seconds to go.
async function mustNotLeak(walk, call) {
  const batch = async () => { for (let i = 0; i < 10; i += 1) await walk.strike(call, 1 + i, CALLS[call], false); };
  await batch(); // each thread has opened what it keeps
  const { ends } = walk;
  const before = walk.descriptors();
  for (let i = 0; i < 3; i += 1) await batch();
  await eventually(() => walk.ends !== ends || walk.descriptors() <= before + 2, { ms: 30_000, every: 200 });
}

async function walkOver(calls, { once, forEver, leaks }) {
  const walk = new Walk();
  await walk.begin();
  try {
    for (const call of calls) {
      for (const nth of once) await walk.strike(call, nth, CALLS[call], false);
      for (const nth of call === 'epoll_wait' ? [] : forEver) await walk.strike(call, nth, CALLS[call], true);
    }
    for (const call of calls.filter((one) => DISK_FULL.includes(one))) for (const nth of once.slice(0, 8))
      await walk.strike(call, nth, 'ENOSPC', false);
    for (const call of leaks) await mustNotLeak(walk, call);
    const count = await walk.end();
    console.log(`# ${calls.join(' ')}: ${walk.struck} faults, ${walk.ends} ends, ${walk.acks} acknowledged, ${count} messages`);
  } finally {
    await walk.server.stop({ signal: 'SIGKILL' });
  }
}

if (isFar) {
  for (const call of Object.keys(CALLS)) test(`${call} fails`, { timeout: 900_000 }, () => walkOver([call], { once: FAR, forEver: FAR, leaks: [call] }));
} else {
  test('each call fails on the way of a message', { timeout: 120_000 }, () => walkOver(Object.keys(CALLS), { once: [3], forEver: [1], leaks: ['recv'] }));
}

// At the start: a start, or an end that is not mistaken for one; and the next start is whole.
test('each call fails at the start', { timeout: isFar ? 900_000 : 120_000 }, async () => {
  const faults = new Faults();
  const dataDir = makeDataDir();
  await (await startServer({ dataDir })).stop({ keepData: true });
  let refusals = 0;
  for (const [call, error] of Object.entries(CALLS)) for (const nth of isFar ? FAR : [2]) {
    faults.arm(call, { nth, error, isForEver: nth % 2 === 0 && call !== 'epoll_wait' });
    const from = Date.now();
    const server = await startServer({ dataDir, env: faults.env }).catch((problem) => { refusals += 1; return problem; });
    assert.ok(Date.now() - from < LIMIT_MS, `${call} ${nth}: neither starts nor ends`);
    faults.disarm();
    if (!(server instanceof Error)) await server.stop({ signal: 'SIGKILL' });
  }
  await (await startServer({ dataDir })).stop({ keepData: true });
  assert.equal(run(['verify'], { dataDir }).status, 0);
  console.log(`# ${refusals} starts refused`);
  faults.end();
  rmSync(dataDir, { recursive: true, force: true });
});
