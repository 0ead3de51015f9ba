// What the tests of shards share: a storm over a deployment of parts, and who owns what by what the parts say.
import assert from 'node:assert/strict';
import { Sharded, pause } from './sharded.mjs';
import { Storm } from './storm.mjs';

// A storm whose server is a deployment that goes on while parts of it do not.
export class PartStorm extends Storm {
  constructor(options) {
    super();
    this.options = options;
  }

  async start() { this.server ??= await new Sharded(this.options).start(); }

  // People talk; `what` happens; they go on, and say again what has no answer.
  async through(what) {
    await this.connect();
    this.isQuiet = false;
    const talking = this.devices.filter((d) => d !== this.tablet).map((d) => d.talk());
    await pause(300);
    await what();
    await pause(700);
    this.isQuiet = true;
    await Promise.all(talking);
    for (const d of this.devices) await d.resend();
    for (const d of this.devices) await d.catchUp();
    for (const d of this.devices) await d.close();
  }
}

export const ownedBy = (part) => {
  const owned = new Set();
  for (const { msg } of part.log) {
    const [, shard, what] = msg.match(/^message: shard (\d+) (is ours|was (?:given|taken))/) ?? [];
    if (what === 'is ours') owned.add(shard);
    else if (what) owned.delete(shard);
  }
  return owned.size;
};

export async function until(check, what, ms = 15_000) {
  const end = Date.now() + ms;
  while (!check()) {
    assert.ok(Date.now() < end, what);
    await pause(50);
  }
}
