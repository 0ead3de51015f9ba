// Several message services over one PostgreSQL: the services that hold no log in one process, each message service in one of
// its own, and gateways. tests/services/run.mjs postgres,redis starts what they stand on.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { databaseOf } from '../services/services.mjs';
import { freePort } from '../services/ports.mjs';
import { makeDataDir, startProcess, Server } from './server.mjs';

export const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export class Sharded {
  // stores: where some shards lie, as { "2-3": url }
  constructor({ shards = 4, messages = 2, gateways = 2, stores = {}, env = {} } = {}) {
    Object.assign(this, { shards, messages, stores, gatewayCount: gateways, extra: env, dataDir: makeDataDir(), parts: new Map(), gateways: [] });
  }

  async start() {
    const names = ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'presence', 'task'];
    this.ports = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await freePort()])));
    this.messagePorts = await Promise.all(Array.from({ length: this.messages }, () => freePort()));
    this.names = names;
    await this.startPart('base', ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'presence', 'task']);
    for (let i = 0; i < this.messages; i += 1) await this.startMessage(i);
    for (let i = 0; i < this.gatewayCount; i += 1) this.gateways.push(await this.startPart(`gateway-${i}`, ['gateway']));
    return this;
  }

  startMessage(i) {
    return this.startPart(`message-${i}`, ['message'], { PARLANCE_GRPC_PORTS_MESSAGE: String(this.messagePorts[i]) }, this.messagePorts[i]);
  }

  async startPart(name, services, env = {}, own = 0) {
    const dir = path.join(this.dataDir, name);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const remote = [
      ...Object.entries(this.ports).filter(([service]) => !services.includes(service)).map(([service, port]) => `${service}=127.0.0.1:${port}`),
      ...this.messagePorts.filter((port) => port !== own).map((port) => `message=127.0.0.1:${port}`),
    ];
    const part = await startProcess({
      dataDir: dir,
      args: ['serve', `--services=${services.join(',')}`],
      env: {
        ...this.engines(),
        CLUSTER_SECRET: 'a-secret-of-this-cluster-that-is-long-enough',
        JWT_SECRET: 'the-key-that-signs-tokens-of-this-deployment',
        PARLANCE_GRPC_HOST: '127.0.0.1',
        PARLANCE_BLOB_DIR: path.join(this.dataDir, 'blobs'),
        ...Object.fromEntries(Object.entries(this.ports).map(([service, port]) => [`PARLANCE_GRPC_PORTS_${service.toUpperCase()}`, String(port)])),
        PARLANCE_SERVICES_REMOTE: remote.join(','),
        ...this.extra,
        ...env,
      },
    });
    this.parts.set(name, part);
    return part;
  }

  engines() {
    this.database ??= databaseOf('postgres', path.basename(this.dataDir));
    return {
      PARLANCE_STORE_DRIVER: 'postgres',
      PARLANCE_STORE_URL: this.database,
      PARLANCE_MESSAGES_SHARDS: String(this.shards),
      PARLANCE_MESSAGES_SHARD_STORES: Object.entries(this.stores).map(([range, url]) => `${range}=${url}`).join(','),
      PARLANCE_EVENT_BUS_TYPE: 'redis',
      PARLANCE_EVENT_BUS_URL: process.env.PARLANCE_TEST_REDIS_URL,
      PARLANCE_EVENT_BUS_PREFIX: `${path.basename(this.dataDir)}.`,
      PARLANCE_CACHE_TYPE: 'redis',
      PARLANCE_CACHE_URL: process.env.PARLANCE_TEST_REDIS_URL,
      PARLANCE_CACHE_PREFIX: `${path.basename(this.dataDir)}.`,
    };
  }

  part(name) { return this.parts.get(name); }
  get port() { return this.gateways[0].port; }
  get url() { return this.gateways[0].url; }
  get wsUrl() { return this.gateways[0].wsUrl; }

  async stop(options = {}) {
    const problems = [];
    for (const [name, part] of [...this.parts].reverse()) {
      try {
        await part.stop({ keepData: true, ...options });
      } catch (problem) { problems.push(`${name}: ${problem.message}`); }
    }
    rmSync(this.dataDir, { recursive: true, force: true });
    if (problems.length) throw new Error(problems.join('\n'));
  }
}
for (const name of ['client', 'register']) Sharded.prototype[name] = Server.prototype[name];
