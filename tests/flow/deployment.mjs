// The same server in pieces: what PARLANCE_TEST_SHAPE makes of startServer.
//   split    two gateways, two message services, two signaling processes and two media nodes, the others apart from them,
//            behind a front (front.mjs); found by etcd, over one database, events and cache over Redis
//   engines  one process, over the same
// tests/services/run.mjs starts the servers: node tests/services/run.mjs postgres,redis,etcd node --test tests/flow/...
// PARLANCE_TEST_BUS=kafka or rabbitmq (and its server) carries the events instead of Redis, PARLANCE_TEST_QUEUE the tasks;
// PARLANCE_TEST_STORE=mysql keeps the tables.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { startFront } from './front.mjs';

export const shape = process.env.PARLANCE_TEST_SHAPE ?? '';
export const isSplit = shape === 'split';
// For tests about one process and what is its own: { skip: onlyWhole }
export const onlyWhole = isSplit && 'about one process';

const SECRET = 'a-secret-of-this-cluster-that-is-long-enough';
export const JWT_SECRET = 'the-key-that-signs-tokens-of-this-deployment';

// The processes of a deployment; the first one makes the tables, and answers commands of the shell.
export const PROCESSES = [
  { name: 'accounts', services: ['user', 'auth', 'presence', 'file'] },
  { name: 'messages-1', services: ['message', 'meeting', 'task'] },
  { name: 'messages-2', services: ['message'] },
  { name: 'rooms-1', services: ['signaling'] },
  { name: 'rooms-2', services: ['signaling'] },
  { name: 'media-1', services: ['media'] },
  { name: 'media-2', services: ['media'] },
  { name: 'gateway-1', services: ['gateway'] },
  { name: 'gateway-2', services: ['gateway'] },
];
const ALL = ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task'];
const TOGETHER_MS = 60_000;

function urlOf(name) {
  const url = process.env[`PARLANCE_TEST_${name.toUpperCase()}_URL`];
  if (!url) throw new Error(`PARLANCE_TEST_SHAPE=${shape} wants node tests/services/run.mjs postgres,redis,etcd ... (no ${name})`);
  return url;
}

// What every process of one deployment is told of the engines; nothing without a shape.
export function enginesOf(dataDir) {
  if (!shape) return {};
  const prefix = `${path.basename(dataDir)}.`;
  const [bus, queue] = [process.env.PARLANCE_TEST_BUS ?? 'redis', process.env.PARLANCE_TEST_QUEUE];
  return {
    PARLANCE_EVENT_BUS_TYPE: bus,
    PARLANCE_EVENT_BUS_URL: urlOf(bus),
    PARLANCE_EVENT_BUS_PREFIX: prefix,
    ...(queue && { PARLANCE_MESSAGE_QUEUE_TYPE: queue, PARLANCE_MESSAGE_QUEUE_URL: urlOf(queue) }),
    PARLANCE_CACHE_TYPE: 'redis',
    PARLANCE_CACHE_URL: urlOf('redis'),
    PARLANCE_CACHE_PREFIX: prefix,
  };
}

// `start` starts one process: ({ env, args, dataDir }) -> Server, whose ways to clients are this one's, too.
export async function startDeployment({ Server, processes = PROCESSES, ...options }) {
  const deployment = new Deployment({ ...options, processes: [...processes] });
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
    this.frontPort = Number(this.env.PARLANCE_HTTP_PORT ?? 0);
    this.shared = {
      CLUSTER_SECRET: SECRET,
      JWT_SECRET,
      PARLANCE_GRPC_HOST: '127.0.0.1',
      PARLANCE_MEDIA_HOST: '127.0.0.1',
      PARLANCE_MEDIA_WORKERS: '1',
      PARLANCE_HTTP_LOOPS: '1',
      PARLANCE_MESSAGES_SHARDS: '4',
      ...Object.fromEntries(ALL.map((name) => [`PARLANCE_GRPC_PORTS_${name.toUpperCase()}`, '0'])),
      PARLANCE_REGISTRY_TYPE: 'etcd',
      PARLANCE_REGISTRY_ENDPOINTS: urlOf('etcd'),
      PARLANCE_REGISTRY_PREFIX: `/${path.basename(this.dataDir)}`,
      PARLANCE_REGISTRY_LEASE_S: '2',
      PARLANCE_BLOB_DIR: path.join(this.dataDir, 'blobs'),
      ...this.env,
    };
    delete this.shared.PARLANCE_HTTP_PORT;
    const [first, ...others] = this.processes;
    await this.startPart(first.name);
    // All of them have started, or not, before one's failure is told: so that whoever has is stopped.
    const started = await Promise.allSettled(others.map((one) => this.startPart(one.name)));
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    await this.together();
    this.front = await startFront({ ...this.targets(), port: this.frontPort });
  }

  // `places`, by name: { host, enter: [command to start it by] } of processes that are not at the loopback address.
  // Each has a data directory of its own; the first has the deployment's, so commands of the shell reach it.
  async startPart(name) {
    const { services, env = {} } = this.processes.find((one) => one.name === name);
    const dir = name === this.processes[0].name ? this.dataDir : path.join(this.dataDir, 'apart', name);
    if (!existsSync(dir)) mkdirSync(dir, { recursive: true, mode: 0o700 });
    const place = this.places?.get(name);
    const own = place && Object.fromEntries(['HTTP', 'GRPC', 'MEDIA'].map((what) => [`PARLANCE_${what}_HOST`, place.host]));
    const part = await this.start({
      env: { ...this.shared, ...own, ...env }, args: ['serve', `--services=${services.join(',')}`], dataDir: dir, wrap: place?.enter, host: place?.host,
    });
    this.parts.set(name, part);
    this.front?.set(this.targets());
    return part;
  }

  // Until every gateway knows as many of each service as there are, and hears those that tell what is said.
  async together() {
    const until = Date.now() + TOGETHER_MS;
    const wanted = (name) => this.processes.filter((one) => one.services.includes(name) && this.isAlive(one.name)).length;
    for (;;) {
      const texts = await Promise.all(this.processes.filter((one) => one.services.includes('gateway') && this.isAlive(one.name))
        .map(async (one) => (await fetch(`${this.parts.get(one.name).url}/metrics`)).text()));
      const known = (text, name) => Number(text.match(
        new RegExp(`^parlance_registry_instances\\{service="parlance-${name}"\\} (\\d+)`, 'm'))?.[1] ?? 0);
      const missing = ALL.filter((name) => texts.some((text) => known(text, name) !== wanted(name)));
      const heard = (text) => Number(text.match(/^parlance_gateway_senders (\d+)/m)?.[1] ?? 0);
      if (texts.some((text) => heard(text) < wanted('message'))) missing.push('senders of messages');
      if (!missing.length) return;
      if (Date.now() > until) throw new Error(`gateways do not know the right number of ${missing.join(', ')}`);
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  isAlive(name) {
    const child = this.parts.get(name)?.child;
    return child && child.exitCode === null && child.signalCode === null;
  }

  targets() {
    const alive = (kind) => this.processes.filter((one) => one.services.includes(kind) && this.isAlive(one.name))
      .map((one) => this.parts.get(one.name));
    return {
      gateways: alive('gateway').map((part) => part.address),
      signaling: alive('signaling').map((part) => `${part.host}:${part.output.match(/HTTP: signaling on port (\d+)/)[1]}`),
    };
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
