// What the processes hold. Resident memory is no measure of a leak: an allocator gives pages back when it likes. So what is
// compared is what malloc has given out and not got back (tests/shims/heap.c counts it), and beside it the anonymous pages.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

// Live bytes may be more by a twentieth and this much: what caches and tables of what is known still gain after the warm-up.
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
    const live = this.isCounted ? Number(readFileSync(path.join(this.dir, String(pid))).readBigInt64LE()) : 0;
    return { pid, anonymous, live };
  }

  // By name, of a Map of servers.
  of(parts) { return Object.fromEntries([...parts].map(([name, part]) => [name, this.read(part.child.pid)])); }
}

export function hasGrown(before, after) {
  return after.live > before.live * MORE + SLACK_BYTES || after.anonymous > before.anonymous * MORE_ANONYMOUS + SLACK_ANONYMOUS_BYTES;
}
