// One chaos run, inside its sandbox (chaos.mjs): a deployment in pieces over real engines (engines.mjs), people who talk and
// meetings that go on; turn by turn something breaks (faults.mjs) and is mended. Afterwards what people wrote down is judged
// (tests/flow/history.mjs), what the participants of meetings heard (meetings.mjs), the logs, and the memory.
// 77: an engine cannot be had.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';
import { Engines, Missing } from './engines.mjs';
import { Faults, randomOf } from './faults.mjs';
import { Media } from './media.mjs';
import { Meetings, RESUME_MS } from './meetings.mjs';
import { Memory, hasGrown, together, whatGrew } from './memory.mjs';
import { Network } from './network.mjs';
import { kindsText, memoryText, resumeText, silenceText } from './summary.mjs';

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 180);
const SEED = Number(process.env.CHAOS_SEED);
const WARM_MS = Number(process.env.CHAOS_WARM_SECONDS ?? 30) * 1000;
const QUIET_MS = 5000;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const engines = new Engines(); // what it puts into the environment is read by what follows
const { judge } = await import('../flow/history.mjs');
const { PROCESSES } = await import('../flow/deployment.mjs');
const { binary, run, startServer } = await import('../flow/server.mjs');
const { People } = await import('./people.mjs');

class Chaos {
  constructor() {
    this.random = randomOf(SEED);
    this.failed = 0;
    this.notes = [];
    const names = [...PROCESSES.map((one) => one.name), ...engines.names];
    const isApart = process.env.PARLANCE_CHAOS_NETWORK === 'yes';
    this.network = isApart ? new Network(names) : null;
    if (!isApart) console.log(`# skipped: partitions (${process.env.PARLANCE_CHAOS_NETWORK}); only kills and freezes`);
    this.places = this.network && new Map(names.map((name) => [name, this.network.place(name)]));
    const build = path.dirname(path.dirname(binary));
    this.memory = new Memory({ dir: tmpdir(), library: path.join(build, 'tests', 'shims', 'libheap.so') });
    this.media = new Media({ program: path.join(build, 'bench', 'sfu', 'sfu_load'), host: this.network?.hostOf('') ?? '127.0.0.1' });
  }

  fail(text) {
    console.log(`not ok: ${text}`);
    this.failed += 1;
  }

  say(text) {
    this.notes.push({ at: Date.now(), text });
    if (process.env.CHAOS_VERBOSE) console.log(`#   ${new Date().toISOString().slice(11, 23)} ${text}`);
  }

  async begin() {
    const env = { PARLANCE_HTTP_DRAIN_MS: '3000', ...this.memory.env };
    this.people = new People({ env });
    this.people.start = async () => { this.people.server = await startServer({ dataDir: this.people.dataDir, env, places: this.places }); };
    await this.people.begin();
    this.server = this.people.server;
    this.faults = new Faults({ random: this.random, server: this.server, engines, network: this.network });
    await this.people.connect();
    this.meetings = new Meetings({ server: this.server, media: this.media, say: (text) => this.say(text) });
    await this.meetings.begin();
    await this.calm();
    this.before = this.memory.of(this.server.parts);
  }

  // Everything works, then it is quiet.
  async calm() {
    await this.people.while(() => pause(WARM_MS));
    await pause(QUIET_MS);
  }

  async turn() {
    await this.people.while(async () => {
      await pause(300 + this.random() * 1200);
      await this.faults.next();
      await pause(1000 + this.random() * 2000);
    });
  }

  async end() {
    await this.meetings.allHear(RESUME_MS + 5000).catch((problem) => this.fail(problem.message));
    await this.calm(); // as when memory was looked at first
    this.judgeMemory();
    this.judgeMeetings();
    await this.meetings.stop();
    for (const device of this.people.devices) await device.close();
    this.count = await this.people.end();
    await this.server.stop({ keepData: true, areErrorsExpected: true });
    this.judgeMessages();
  }

  judgeMeetings() {
    this.heard = this.meetings.judge(this.faults.done);
    for (const one of this.heard.late) {
      this.fail(silenceText(one));
      for (const { at, text } of this.notes) if (at > one.from - 1000 && at < one.until + 1000) console.log(`#   ${new Date(at).toISOString().slice(11, 23)} ${text}`);
    }
  }

  judgeMemory() {
    const after = this.memory.of(this.server.parts);
    const [first, last] = [this.before, after].map(together);
    for (const kind of Object.keys(last)) if (hasGrown(first[kind], last[kind])) this.fail(`${kind} has grown`);
    this.memoryLines = Object.entries(after).map(([name, now]) => {
      const grown = whatGrew(this.before[name], now);
      return `${memoryText(name, this.before[name], now)}${Object.keys(grown).length ? `; more by size of block: ${JSON.stringify(grown)}` : ''}`;
    });
  }

  judgeMessages() {
    const { records } = this.people.history;
    const breaches = judge(records);
    if (breaches.length && process.env.CHAOS_HISTORY) writeFileSync(process.env.CHAOS_HISTORY, records.map((r) => `${JSON.stringify(r)}\n`).join(''));
    for (const breach of breaches.slice(0, 20)) console.log(`not ok: ${JSON.stringify(breach)}`);
    this.failed += breaches.length;
    const verdict = run(['verify'], { dataDir: this.people.dataDir });
    if (verdict.status !== 0) this.fail(`verify: ${verdict.stdout}${verdict.stderr}`);
    if (!this.count) this.fail('there was nothing to judge');
    this.acked = records.filter((r) => r.what === 'acked').length;
    this.postponed = records.filter((r) => r.what === 'postponed').length;
  }

  tell() {
    if (!this.faults) return;
    console.log(`# faults:   ${this.faults.done.length} in ${SECONDS} s: ${kindsText(this.faults.done)}`);
    if (this.acked === undefined) return;
    console.log(`# messages: ${this.acked} sends acknowledged, ${this.postponed} told to try again; ${this.count} in the group's log; `
      + `${this.people.history.records.length} records judged`);
    console.log(`# meetings: ${this.meetings.count} of ${this.meetings.size}; ${resumeText(this.heard.times)}`);
    console.log(`# memory, after the warm-up and at the end${this.memory.isCounted ? '' : ' (live bytes are not counted in this build)'}:`);
    for (const line of this.memoryLines) console.log(`#   ${line}`);
  }

  async abandon() {
    await this.server?.stop({ signal: 'SIGKILL', keepData: true }).catch(() => {});
    await this.media.stop().catch(() => {});
    await engines.stop();
  }
}

const chaos = new Chaos();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => chaos.abandon().finally(() => process.exit(130)));
try {
  console.log(`# over ${engines.names.join(', ')}`);
  await engines.start(chaos.network);
  await chaos.begin();
  for (const until = Date.now() + SECONDS * 1000; Date.now() < until;) await chaos.turn();
  await chaos.end();
} catch (problem) {
  if (problem instanceof Missing) {
    console.log(`skipped: ${problem.message}`);
    process.exit(77);
  }
  chaos.fail(problem.stack);
} finally {
  chaos.tell();
  await chaos.abandon();
}
process.exit(chaos.failed ? 1 : 0);
