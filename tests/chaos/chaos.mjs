// Chaos: a deployment in pieces (tests/flow/deployment.mjs) over PostgreSQL, Redis and etcd, people who talk, and at random
// moments something is killed (SIGKILL) or frozen (SIGSTOP, then SIGCONT): a process of ours, or an engine. What the people wrote down
// themselves is judged (tests/flow/history.mjs): nothing acknowledged is lost, doubled or reordered; afterwards the logs are
// whole, and no process has more memory than before.
//   CHAOS_SECONDS=180 CHAOS_SEED=1 node tests/chaos/chaos.mjs        (make chaos)
// The seed chooses what is done to whom and for how long; when it happens is up to the machine. 77: an engine cannot be had.
import { readFileSync, rmSync } from 'node:fs';
import { Missing, startService } from '../services/services.mjs';

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 180);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 100_000);
const ENGINES = ['postgres', 'redis', 'etcd'];
const MEMORY_SLACK_KB = 48 * 1024;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// mulberry32
function randomOf(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6D2B79F5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const engines = {};
async function startEngines() {
  for (const name of ENGINES) {
    try {
      engines[name] = await startService(name);
    } catch (problem) {
      await stopEngines();
      if (!(problem instanceof Missing)) throw problem;
      console.log(`skipped: no ${name}: ${problem.message}`);
      process.exit(77);
    }
    process.env[`PARLANCE_TEST_${name.toUpperCase()}_URL`] = engines[name].url;
  }
}
const stopEngines = () => Promise.all(Object.values(engines).map((engine) => engine.stop()));

await startEngines();
process.env.PARLANCE_TEST_SHAPE = 'split';
const { judge } = await import('../flow/history.mjs');
const { run } = await import('../flow/server.mjs');
const { Storm } = await import('../flow/storm.mjs');

const rssOf = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
// The socket was lost, or its gateway does not answer any more: what everybody's client has to live with.
const isLoss = (problem) => /^closed|waited in vain|ECONN|socket hang up|not open|Unexpected server response: 5/.test(problem.message);

const isRefusal = (problem) => /"code":"(unavailable|deadline_exceeded|resource_exhausted)"/.test(problem.message);

class Chaos extends Storm {
  constructor(random) {
    super({ env: { PARLANCE_HTTP_DRAIN_MS: '3000' } });
    this.random = random;
    this.done = [];
  }

  async comeBack(device) {
    for (let tries = 0; ; tries += 1) {
      try {
        await device.connect(this.server);
        return;
      } catch (problem) {
        device.cut();
        device.wire?.socket?.terminate?.();
        if (tries > 120 || !(isLoss(problem) || isRefusal(problem))) throw problem;
        await pause(500);
      }
    }
  }

  // Talks until it is quiet, and comes back whenever its socket is gone.
  async talkThrough(device) {
    for (let isUp = true; ;) {
      try {
        if (!isUp) await this.comeBack(device);
        isUp = true;
        await device.resend();
        while (!this.isQuiet) {
          if (device === this.tablet) await pause(100);
          else await device.act();
          await pause(20);
        }
        await device.resend();
        await device.catchUp();
        return;
      } catch (problem) {
        if (isRefusal(problem)) { // not now: asked again on the same socket
          await pause(300);
          continue;
        }
        if (!isLoss(problem)) throw problem;
        device.cut();
        device.wire?.socket?.terminate?.();
        isUp = false;
      }
    }
  }

  pick(list) { return list[Math.floor(this.random() * list.length)]; }

  // One evil thing; afterwards all is there again, as a supervisor would see to it.
  async mischief() {
    const victim = this.pick([...this.server.processes.map((one) => one.name), ...ENGINES]);
    const kind = this.pick(['kill', 'freeze']);
    const ms = Math.floor(500 + this.random() * 4500);
    const engine = engines[victim];
    console.log(`# ${kind} ${victim}, for ${ms} ms`);
    this.done.push(`${kind} ${victim}`);
    const child = engine ? engine.child : this.server.parts.get(victim).child;
    if (kind === 'freeze') {
      // PostgreSQL's work is done by processes of its own.
      const pids = victim === 'postgres' ? childrenOf(child.pid) : [];
      for (const pid of [child.pid, ...pids]) signal(pid, 'SIGSTOP');
      await pause(ms);
      for (const pid of [...pids, child.pid]) signal(pid, 'SIGCONT');
      return;
    }
    if (engine) {
      await engine.end('SIGKILL');
      await pause(ms);
      engine.start();
      return;
    }
    await this.server.parts.get(victim).stop({ signal: 'SIGKILL', keepData: true });
    this.server.front.set(this.server.targets());
    await pause(ms);
    await this.server.startPart(victim);
  }

  async turn() {
    this.isQuiet = false;
    const talking = this.devices.map((device) => this.talkThrough(device));
    await pause(300 + this.random() * 1200);
    await this.mischief();
    await pause(1000 + this.random() * 2000);
    this.isQuiet = true;
    await Promise.all(talking);
  }

  memory() { return Object.fromEntries([...this.server.parts].map(([name, part]) => [name, rssOf(part.child.pid)])); }
}

function signal(pid, name) {
  try { process.kill(pid, name); } catch (problem) { if (problem.code !== 'ESRCH') throw problem; }
}

function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch { return []; }
}

console.log(`# seed ${SEED}, ${SECONDS} s`);
const chaos = new Chaos(randomOf(SEED));
let failed = 0;
try {
  await chaos.begin();
  await chaos.connect();
  const until = Date.now() + SECONDS * 1000;
  let before;
  while (Date.now() < until) {
    await chaos.turn();
    before ??= chaos.memory(); // all of it has worked once
  }
  await pause(2000);
  const after = chaos.memory();
  for (const [name, kb] of Object.entries(after)) {
    console.log(`# ${name}: ${before[name]} kB, then ${kb} kB`);
    if (kb > before[name] * 2 + MEMORY_SLACK_KB) { console.log(`not ok: ${name} has grown`); failed += 1; }
  }
  for (const device of chaos.devices) await device.close();
  const count = await chaos.end();
  await chaos.server.stop({ keepData: true, areErrorsExpected: true });
  const breaches = judge(chaos.history.records);
  for (const breach of breaches.slice(0, 20)) console.log(`not ok: ${JSON.stringify(breach)}`);
  failed += breaches.length;
  const verdict = run(['verify'], { dataDir: chaos.dataDir });
  if (verdict.status !== 0) { console.log(`not ok: verify: ${verdict.stderr}`); failed += 1; }
  if (!count) { console.log('not ok: there was nothing to judge'); failed += 1; }
  console.log(`# ${count} messages through ${chaos.done.length} times of ${[...new Set(chaos.done)].join(', ')}; ${chaos.history.records.length} records`);
} catch (problem) {
  failed += 1;
  console.log(`not ok: ${problem.stack}`);
  await chaos.server?.stop({ signal: 'SIGKILL', keepData: true }).catch(() => {});
} finally {
  await stopEngines();
  rmSync(chaos.dataDir, { recursive: true, force: true });
}
console.log(failed ? `chaos: ${failed} failed (CHAOS_SEED=${SEED})` : 'chaos: ok');
process.exit(failed ? 1 : 0);
