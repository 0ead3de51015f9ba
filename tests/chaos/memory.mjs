// What the processes hold. Resident memory is no measure of a leak: an allocator gives pages back when it likes. So what is
// compared is what malloc has given out and not got back (tests/shims/heap.c counts it), and beside it the anonymous pages.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

// Live bytes may be more by a twentieth and, a process, this much: what caches and tables of what is known still gain after the warm-up.
const SLACK_BYTES = 512 * 1024;
const MORE = 1.05;
const SLACK_ANONYMOUS_BYTES = 16 * 1024 * 1024;
const MORE_ANONYMOUS = 1.5;

export class Memory {
  constructor({ dir, library }) {
    this.dir = path.join(dir, 'heap');
    mkdirSync(this.dir, { mode: 0o700 });
    this.env = existsSync(library) ? { LD_PRELOAD: library, PARLANCE_TEST_HEAP: this.dir } : {};
  }

  get isCounted() { return Boolean(this.env.LD_PRELOAD); }

  // Of one process.
  read(pid) {
    const anonymous = Number(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Anonymous:\s+(\d+)/m)[1]) * 1024;
    const page = this.isCounted ? readFileSync(path.join(this.dir, String(pid))) : Buffer.alloc(8);
    const [live, ...classes] = Array.from({ length: page.length / 8 }, (_, i) => Number(page.readBigInt64LE(8 * i)));
    return { pid, anonymous, live, classes };
  }

  // By name, of a Map of servers.
  of(parts) { return Object.fromEntries([...parts].map(([name, part]) => [name, this.read(part.child.pid)])); }
}

// Those of one kind together, messages-1 and messages-2 as messages: what one of them loses when its meetings or shards move, another
// gains. { count, live, anonymous, classes }
export function together(all) {
  const kinds = {};
  for (const [name, { live, anonymous, classes }] of Object.entries(all)) {
    const kind = name.replace(/-\d+$/, '');
    const sum = kinds[kind] ?? { count: 0, live: 0, anonymous: 0, classes: classes.map(() => 0) };
    kinds[kind] = {
      count: sum.count + 1, live: sum.live + live, anonymous: sum.anonymous + anonymous, classes: sum.classes.map((bytes, k) => bytes + classes[k]),
    };
  }
  return kinds;
}

// Which sizes of blocks have more bytes now: { size of the smallest of them: bytes more }, of those that matter.
export function whatGrew(before, after) {
  const more = after.classes.map((bytes, k) => [Math.round(2 ** (k / 2)), bytes - before.classes[k]]);
  return Object.fromEntries(more.filter(([, bytes]) => bytes > 64 * 1024));
}

export function hasGrown(before, after) {
  const { count } = before;
  return after.live > before.live * MORE + SLACK_BYTES * count || after.anonymous > before.anonymous * MORE_ANONYMOUS + SLACK_ANONYMOUS_BYTES * count;
}
