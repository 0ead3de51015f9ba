// One real server of a test: a program of Debian's on a free port of 127.0.0.1, in a temporary directory, as a user without rights
// (PostgreSQL refuses root), stopped by its process id. A program that is not there throws Missing.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';

const READY_MS = 30_000;
const STOP_MS = 15_000;

// Why there is no such server here: for a test that is skipped, not failed.
export class Missing extends Error {}

// { uid, gid } of the first of these users that exists; null to run it as ourselves: without names, or when we are not root.
function findUser(names) {
  if (!names || process.getuid() !== 0) return null;
  for (const name of names) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout.trim());
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Missing(`none of the users ${names.join(', ')} exists to run it as`);
}

export function findProgram(name, places) {
  for (const place of [...places, ...(process.env.PATH ?? '').split(':')])
    if (place && existsSync(path.join(place, name))) return path.join(place, name);
  throw new Missing(`there is no ${name} (tools/deps.sh test installs it)`);
}

export class Service {
  constructor(name, users, at) {
    this.user = findUser(users);
    this.at = at;
    this.host = at?.host ?? '127.0.0.1';
    this.dir = mkdtempSync(path.join(tmpdir(), `parlance-${name}-`));
    this.password = randomBytes(12).toString('hex');
    this.output = '';
    chmodSync(this.dir, 0o700);
    if (this.user) chownSync(this.dir, this.user.uid, this.user.gid);
  }

  // As the other user: Node changes to it before it runs the program; where a place is entered first, which takes rights that
  // the user has not, `entered` does it afterwards.
  get as() { return this.at?.enter ? { cwd: this.dir } : { ...this.user, cwd: this.dir }; }

  entered(command) {
    if (!this.at?.enter) return command;
    const become = this.user ? ['setpriv', `--reuid=${this.user.uid}`, `--regid=${this.user.gid}`, '--clear-groups'] : [];
    return [...this.at.enter, ...become, ...command];
  }

  prepare(program, args) {
    const done = spawnSync(program, args, { ...this.user, cwd: this.dir, encoding: 'utf8', timeout: 60_000 });
    if (done.status !== 0) {
      rmSync(this.dir, { recursive: true, force: true });
      throw new Error(`${program} failed: ${done.error ?? ''} ${done.stdout}${done.stderr}`);
    }
  }

  // Also once more, on the same data, after `end`.
  start(program = this.program, args = this.args) {
    Object.assign(this, { program, args, isOver: false });
    const [first, ...rest] = this.entered([program, ...args]);
    this.child = spawn(first, rest, { ...this.as, stdio: ['ignore', 'pipe', 'pipe'] });
    this.exited = new Promise((resolve) => { this.child.once('exit', resolve); });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.setEncoding('utf8').on('data', (text) => { this.output = (this.output + text).slice(-2_000); });
    const { child } = this;
    this.exited.then(() => { this.isOver = this.isOver || child === this.child; });
    this.pid = this.child.pid;
  }

  async waitReady() {
    const until = Date.now() + (this.readyMs ?? READY_MS);
    while (!this.isReady()) {
      if (this.isOver || Date.now() > until) {
        await this.stop();
        throw new Error(`the server did not start:\n${this.output}`);
      }
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  async end(signal = this.stopSignal) {
    if (!this.isOver) {
      this.child.kill(signal);
      const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
      await this.exited;
      clearTimeout(timer);
    }
  }

  async stop() {
    await this.end();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
