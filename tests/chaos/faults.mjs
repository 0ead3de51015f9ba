// What is done to whom. A seed chooses; what is done is undone after a while, as a supervisor would see to it.
//   kill     SIGKILL, and later it is started again        cut      its cable is out: nobody reaches it, it reaches nobody
//   freeze   SIGSTOP, and later SIGCONT                    mute     what it says is lost, what it is told is not; deafen: the other way
//                                                          part     it and one other do not reach each other; all else goes on
import { readFileSync } from 'node:fs';

// Who of ours is there once: while it is away nobody does its work.
const SINGLE = ['accounts', 'messages-1'];
const SHORTEST_MS = 500;
const LONGEST_MS = { kill: 5000, freeze: 5000, cut: 8000, mute: 8000, deafen: 8000, part: 8000 };
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// mulberry32
export function randomOf(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6D2B79F5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function signal(pid, name) {
  try { process.kill(pid, name); } catch (problem) { if (problem.code !== 'ESRCH') throw problem; }
}

function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch { return []; }
}

export class Faults {
  // engines: as engines.mjs has them. network: null without namespaces.
  constructor({ random, server, engines, network }) {
    Object.assign(this, { random, server, engines, network, done: [] });
  }

  pick(list) { return list[Math.floor(this.random() * list.length)]; }

  get kinds() { return ['kill', 'freeze', ...(this.network ? ['cut', 'mute', 'deafen', 'part', 'part'] : [])]; }

  // The next one, not done yet.
  choose() {
    const processes = this.server.processes.map((one) => one.name);
    const { names, single } = this.engines;
    const kind = this.pick(this.kinds);
    const victim = this.pick(kind === 'part' ? processes : [...processes, ...names]);
    const other = kind === 'part' ? this.pick([...processes, ...names, ...names].filter((name) => name !== victim)) : null;
    const ms = Math.floor(SHORTEST_MS + this.random() * (LONGEST_MS[kind] - SHORTEST_MS));
    return { kind, victim, other, ms, isEngine: names.includes(victim), isForAll: kind !== 'part' && [...single, ...SINGLE].includes(victim) };
  }

  async next() {
    const fault = this.choose();
    console.log(`# ${new Date().toISOString().slice(11, 23)} ${fault.kind} ${fault.victim}${fault.other ? ` from ${fault.other}` : ''}, for ${fault.ms} ms`);
    fault.from = Date.now();
    this.done.push(fault); // already: a silence that begins now is its doing
    const undo = await this.begin(fault);
    await pause(fault.ms);
    await undo();
    fault.until = Date.now();
  }

  begin(fault) {
    if (fault.kind === 'freeze') return this.freeze(fault);
    if (fault.kind === 'kill') return this.kill(fault);
    return fault.other ? this.network.part(fault.victim, fault.other) : this.network[fault.kind](fault.victim);
  }

  childOf(name) { return (this.engines.running[name] ?? this.server.parts.get(name)).child; }

  freeze({ victim }) {
    const { pid } = this.childOf(victim);
    const pids = victim === 'postgres' ? [pid, ...childrenOf(pid)] : [pid]; // its work is done by processes of its own
    for (const one of pids) signal(one, 'SIGSTOP');
    return () => pids.reverse().forEach((one) => signal(one, 'SIGCONT'));
  }

  async kill({ victim, isEngine }) {
    if (isEngine) {
      await this.engines.running[victim].end('SIGKILL');
      return () => this.engines.running[victim].start();
    }
    await this.server.parts.get(victim).stop({ signal: 'SIGKILL', keepData: true });
    this.server.front.set(this.server.targets());
    return () => this.server.startPart(victim);
  }
}
