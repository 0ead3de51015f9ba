// The shim (tests/shims/faults.c) from the test's side: a page of a file that says what time it is and which call fails.
//
//   const faults = new Faults();
//   const server = await startServer({ env: faults.env });
//   faults.clock(Date.UTC(2100, 0, 1));
//   faults.arm('fsync', { nth: 1, error: 'EIO', isForEver: true });
//   faults.disarm();                                             // how often it failed
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { binary } from './server.mjs';

const BYTES = 56;
const at = { clock: 0, call: 8, error: 32, isForEver: 36, left: 40, failed: 48 };
const library = path.join(path.dirname(path.dirname(binary)), 'tests', 'shims', 'libfaults.so');

export class Faults {
  constructor() {
    this.dir = mkdtempSync(path.join(tmpdir(), 'parlance-faults-'));
    this.file = path.join(this.dir, 'page');
    this.fd = openSync(this.file, 'w+');
    writeSync(this.fd, Buffer.alloc(BYTES), 0, BYTES, 0);
    this.env = { LD_PRELOAD: library, PARLANCE_TEST_FAULTS: this.file };
  }

  write(bytes, place) { writeSync(this.fd, bytes, 0, bytes.length, place); }

  // Without a time: the true one.
  clock(ms = Date.now()) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.round((ms - Date.now()) / 1000) * 1000));
    this.write(bytes, at.clock);
  }

  arm(call, { nth = 1, error = 'EIO', isForEver = false } = {}) {
    const bytes = Buffer.alloc(BYTES - at.error);
    bytes.writeInt32LE(constants.errno[error], 0);
    bytes.writeInt32LE(isForEver ? 1 : 0, at.isForEver - at.error);
    bytes.writeBigInt64LE(BigInt(nth - 1), at.left - at.error);
    this.write(bytes, at.error);
    this.write(Buffer.from(call.padEnd(24, '\0')), at.call);
  }

  disarm() {
    this.write(Buffer.alloc(24), at.call);
    const bytes = Buffer.alloc(8);
    readSync(this.fd, bytes, 0, 8, at.failed);
    return Number(bytes.readBigInt64LE());
  }

  end() {
    closeSync(this.fd);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
