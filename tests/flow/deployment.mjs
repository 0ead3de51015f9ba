// The same server in pieces: what PARLANCE_TEST_SHAPE makes of startServer.
//   split    two gateways, and the services in processes of their own, behind a front (front.mjs); over PostgreSQL,
//            events and cache over Redis
//   engines  one process, over the same
// tests/services/run.mjs starts the servers: node tests/services/run.mjs postgres,redis node --test tests/flow/...
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../services/ports.mjs';
import { startFront } from './front.mjs';

export const shape = process.env.PARLANCE_TEST_SHAPE ?? '';
export const isSplit = shape === 'split';
// For tests about one process and what is its own: { skip: onlyWhole }
export const onlyWhole = isSplit && 'about one process';

const SECRET = 'a-secret-of-this-cluster-that-is-long-enough';

// The processes of a deployment; the first one makes the tables, and answers commands of the shell.
const PROCESSES = [
  { name: 'accounts', services: ['user', 'auth', 'presence'] },
  { name: 'messages', services: ['message', 'file'] },
  { name: 'meetings', services: ['meeting', 'signaling', 'media'] },
  { name: 'tasks', services: ['task'] },
  { name: 'gateway-1', services: ['gateway'] },
  { name: 'gateway-2', services: ['gateway'] },
];

// What every process of one deployment is told of the engines; nothing without a shape.
export function enginesOf(dataDir) {
  if (!shape) return {};
  const redis = process.env.PARLANCE_TEST_REDIS_URL;
  if (!redis) throw new Error(`PARLANCE_TEST_SHAPE=${shape} wants node tests/services/run.mjs postgres,redis ...`);
  const prefix = `${path.basename(dataDir)}.`;
  return {
    PARLANCE_EVENT_BUS_TYPE: 'redis',
    PARLANCE_EVENT_BUS_URL: redis,
    PARLANCE_EVENT_BUS_PREFIX: prefix,
    PARLANCE_CACHE_TYPE: 'redis',
    PARLANCE_CACHE_URL: redis,
    PARLANCE_CACHE_PREFIX: prefix,
  };
}

async function portsOf() {
  const ports = {};
  for (const { services } of PROCESSES)
    for (const name of services) if (name !== 'gateway') ports[name] = await freePort();
  return ports;
}

// `start` starts one process: ({ env, args, dataDir }) -> Server, whose ways to clients are this one's, too.
export async function startDeployment({ Server, processes = PROCESSES, ...options }) {
  const deployment = new Deployment({ ...options, processes });
  for (const name of ['client', 'register']) deployment[name] = Server.prototype[name];
  try {
    await deployment.begin();
  } catch (problem) {
    await deployment.stop({ signal: 'SIGKILL' });
    throw problem;
  }
  return deployment;
}

// Looks like the Server of server.mjs.
export class Deployment {
  constructor(options) {
    Object.assign(this, options);
    this.parts = new Map(); // name -> Server
  }

  async begin() {
    this.ports = await portsOf();
    const remote = Object.entries(this.ports).map(([name, port]) => `${name}=127.0.0.1:${port}`);
    this.shared = {
      CLUSTER_SECRET: SECRET,
      JWT_SECRET: 'the-key-that-signs-tokens-of-this-deployment',
      PARLANCE_GRPC_HOST: '127.0.0.1',
      ...Object.fromEntries(Object.entries(this.ports).map(([name, port]) => [`PARLANCE_GRPC_PORTS_${name.toUpperCase()}`, port])),
      PARLANCE_BLOB_DIR: path.join(this.dataDir, 'blobs'),
      ...this.env,
    };
    this.remote = remote;
    const port = Number(this.shared.PARLANCE_HTTP_PORT ?? 0); // the front's
    delete this.shared.PARLANCE_HTTP_PORT;
    const [first, ...others] = this.processes;
    await this.startPart(first);
    await Promise.all(others.map((one) => this.startPart(one)));
    this.front = await startFront({ ...this.targets(), port });
  }

  async startPart({ name, services, env = {} }) {
    const dir = name === this.processes[0].name ? this.dataDir : path.join(this.dataDir, 'apart', name);
    if (!existsSync(dir)) mkdirSync(dir, { recursive: true, mode: 0o700 });
    const remote = this.remote.filter((one) => !services.includes(one.split('=')[0]));
    const part = await this.start({
      env: { ...this.shared, ...env, PARLANCE_SERVICES_REMOTE: remote.join(',') },
      args: ['serve', `--services=${services.join(',')}`],
      dataDir: dir,
    });
    this.parts.set(name, part);
    return part;
  }

  targets() {
    const portsOfKind = (kind) => this.processes.filter((one) => one.services.includes(kind)).map((one) => this.parts.get(one.name));
    const signaling = portsOfKind('signaling').map((part) => {
      const found = part?.output.match(/HTTP: signaling on port (\d+)/);
      return Number(found?.[1]);
    });
    return { gateways: portsOfKind('gateway').map((part) => part?.port).filter(Boolean), signaling: signaling.filter(Boolean) };
  }

  // All of it as one process.
  get child() {
    const children = [...this.parts.values()].map((part) => part.child);
    const isOver = children.every((child) => child.exitCode !== null || child.signalCode !== null);
    return { kill: (signal) => children.forEach((child) => child.kill(signal)), exitCode: isOver ? 0 : null, signalCode: null };
  }

  get exited() { return Promise.all([...this.parts.values()].map((part) => part.exited)).then(() => ({ code: 0, signal: null })); }
  get port() { return this.front.port; }
  get url() { return `http://127.0.0.1:${this.port}`; }
  get wsUrl() { return `ws://127.0.0.1:${this.port}`; }
  get log() { return [...this.parts.values()].flatMap((part) => part.log).sort((a, b) => (a.ts < b.ts ? -1 : 1)); }
  get output() { return [...this.parts.values()].map((part) => part.output).join(''); }
  get errors() { return [...this.parts.values()].map((part) => part.errors).join(''); }

  // Gateways first, then who is called by nobody that is left; { code, ms } as if it were one.
  async stop({ signal = 'SIGTERM', keepData = false, areErrorsExpected = false } = {}) {
    const from = Date.now();
    const problems = [];
    const order = [...this.parts.entries()].reverse();
    const stopOne = async ([, part]) => {
      try {
        await part.stop({ signal, keepData: true, areErrorsExpected });
      } catch (problem) { problems.push(problem); }
    };
    if (signal === 'SIGKILL') await Promise.all(order.map(stopOne));
    else {
      const isGateway = ([name]) => name.startsWith('gateway');
      await Promise.all(order.filter(isGateway).map(stopOne));
      for (const one of order.filter((each) => !isGateway(each))) await stopOne(one);
    }
    await this.front?.stop();
    if (this.isOwnDir && !keepData) rmSync(this.dataDir, { recursive: true, force: true });
    if (problems.length) throw new Error(problems.map((one) => one.message).join('\n'));
    return { code: 0, signal: null, ms: Date.now() - from };
  }
}
