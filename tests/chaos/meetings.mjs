// Meetings that go on while things break. What counts is what is heard: from the last packet that one participant heard of another
// until the next one is a silence. Silences end within RESUME_MS of the fault that began during them, or of the end of
// a fault that leaves nobody to take over (an engine, or a process that there is once).
import { randomBytes } from 'node:crypto';
import { Participant } from './participant.mjs';

export const RESUME_MS = 10_000;
const SILENT_MS = 1000; // shorter ones are the network's
const POLL_MS = 200;
const BEGIN_MS = 30_000;
// A fault shows a little after it was begun, and what it did shows a little after it was undone.
const EDGE_MS = 500;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// From when on `silence` could have been over: the latest beginning of a fault in it, or end of one that nobody can take over.
export function resumeOf(silence, faults) {
  let from = silence.from;
  const during = faults.filter((fault) => fault.from < silence.until && (fault.until ?? Infinity) > silence.from - EDGE_MS);
  for (const fault of during) from = Math.max(from, fault.isForAll ? Math.min(fault.until ?? Infinity, silence.until) : fault.from);
  return { ...silence, ms: silence.until - from, faults: during };
}

export class Meetings {
  constructor({ server, media, say, count = 2, size = 2 }) {
    Object.assign(this, { server, media, say, count, size, people: [], pairs: [], silences: [] });
  }

  async begin() {
    for (let i = 0; i < this.count; i += 1) {
      const clients = [];
      for (let k = 0; k < this.size; k += 1) clients.push(await this.server.register(`m${i}p${k}-${randomBytes(3).toString('hex')}`));
      const { body: meeting } = await clients[0].post('/api/v1/meetings', { title: `Chaos ${i}` });
      for (const client of clients) await client.post(`/api/v1/meetings/${meeting.id}/join`);
      const group = clients.map((client, k) => new Participant({
        number: i * this.size + k, server: this.server, client, meeting, media: this.media, say: this.say,
      }));
      this.people.push(...group);
      for (const a of group) for (const b of group) if (a !== b) this.pairs.push({ a, b, at: 0, count: 0, id: -1 });
    }
    this.living = this.people.map((one) => one.live());
    this.watching = this.watch();
    await this.allHear(BEGIN_MS);
    this.silences.length = 0;
  }

  // Until everybody has heard everybody else just now.
  async allHear(ms) {
    for (const until = Date.now() + ms; ; await pause(POLL_MS)) {
      const deaf = this.pairs.filter((pair) => Date.now() - pair.at > SILENT_MS);
      if (!deaf.length) return;
      if (Date.now() > until) throw new Error(`in a meeting, ${deaf.map(({ a, b }) => `${a.name} does not hear ${b.name}`).join(', ')}`);
    }
  }

  async watch() {
    while (!this.isOver) {
      const heard = await this.media.heard();
      const now = Date.now();
      for (const pair of this.pairs) this.note(pair, pair.a.receiving, heard, now);
      await pause(POLL_MS);
    }
  }

  note(pair, endpoint, heard, now) {
    const count = heard.get(endpoint?.id)?.[pair.b.number] ?? 0;
    const isNew = count > 0 && (endpoint.id !== pair.id || count > pair.count);
    if (isNew) {
      if (pair.at && now - pair.at > SILENT_MS) this.silences.push({ who: `${pair.a.name} of ${pair.b.name}`, from: pair.at, until: now });
      Object.assign(pair, { at: now, count, id: endpoint.id });
    } else if (now - pair.at > 5000) pair.a.probe(); // as Chromium would find out
  }

  // { times: [ms of each silence, as it is judged], late: [those that took too long] }
  judge(faults) {
    const now = Date.now();
    const open = this.pairs.filter((pair) => now - pair.at > SILENT_MS)
      .map((pair) => ({ who: `${pair.a.name} of ${pair.b.name}`, from: pair.at, until: now, isOpen: true }));
    const all = [...this.silences, ...open].map((silence) => resumeOf(silence, faults));
    return { times: all.map((one) => Math.max(one.ms, 0)).sort((a, b) => a - b), all, late: all.filter((one) => one.ms > RESUME_MS || one.isOpen) };
  }

  async stop() {
    this.isOver = true;
    await this.watching;
    for (const one of this.people) one.stop();
    await Promise.all(this.living);
  }
}
