// Apache Kafka, one broker that is its own controller (KRaft). Its jars come from Maven's registry by Debian's maven, once:
// they stay in ~/.m2, and the list of them in the directory of the build's cache beside them.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Missing, Service, findProgram, freePort } from './services.mjs';

const FETCH_MS = 400_000;
const pom = path.join(path.dirname(fileURLToPath(import.meta.url)), 'kafka', 'pom.xml');

// The class path, from the list that is kept if all of its jars are still there.
function classPath(maven) {
  const kept = path.join(homedir(), '.m2', 'parlance-kafka.classpath');
  const wanted = readFileSync(pom, 'utf8');
  if (existsSync(kept)) {
    const [from, jars] = readFileSync(kept, 'utf8').split('\n\n\n');
    if (from === wanted && jars.split(':').every((jar) => existsSync(jar))) return jars;
  }
  mkdirSync(path.dirname(kept), { recursive: true });
  const list = `${kept}.${process.pid}`;
  const done = spawnSync(maven, ['-q', '-B', '-f', pom, 'dependency:build-classpath', `-Dmdep.outputFile=${list}`,
    '-Dmdep.includeScope=runtime'], { encoding: 'utf8', timeout: FETCH_MS });
  if (done.status !== 0) {
    const [why] = `${done.stdout}${done.stderr}`.split('\n').filter((line) => line.includes('ERROR'));
    throw new Missing(`Maven cannot fetch it: ${why ?? done.error ?? 'no answer'}`);
  }
  const jars = readFileSync(list, 'utf8').trim();
  writeFileSync(kept, `${wanted}\n\n\n${jars}`);
  spawnSync('rm', ['-f', list]);
  return jars;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); }).once('error', () => resolve(false));
  });
}

// What the broker keeps of a topic, from its own files: the bytes of each partition.
function partitionsOf(dir, topic) {
  const own = new RegExp(`^${topic.replaceAll('.', '\\.')}-\\d+$`);
  return readdirSync(dir).filter((name) => own.test(name)).map((name) => Buffer.concat(
    readdirSync(path.join(dir, name)).filter((file) => file.endsWith('.log')).map((file) => readFileSync(path.join(dir, name, file)))));
}

export async function startKafka() {
  const [java, maven] = [['java', ['/usr/bin']], ['mvn', ['/usr/bin']]].map(([name, places]) => findProgram(name, places));
  const jars = classPath(maven);
  const server = new Service('kafka', null);
  server.stopSignal = 'SIGKILL'; // its own stop takes seconds, and nothing is kept
  server.port = await freePort();
  server.readyMs = 90_000; // a Java virtual machine, on a busy machine
  const controller = await freePort();
  server.url = `kafka://127.0.0.1:${server.port}`;
  const file = path.join(server.dir, 'server.properties');
  writeFileSync(file, Object.entries({
    'process.roles': 'broker,controller', 'node.id': 1, 'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${server.port},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${server.port}`, 'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT', 'log.dirs': path.join(server.dir, 'logs'),
    'num.partitions': 4, 'offsets.topic.replication.factor': 1, 'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': 1, 'transaction.state.log.min.isr': 1, 'transaction.state.log.num.partitions': 2,
    'share.coordinator.state.topic.replication.factor': 1, 'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000, 'num.io.threads': 4, 'num.network.threads': 2, 'log.cleaner.enable': false,
  }).map(([key, value]) => `${key}=${value}\n`).join(''));
  const jvm = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', jars];
  const id = `A${randomBytes(16).toString('base64url').slice(1)}`; // no option, whatever chance says
  server.prepare(java, [...jvm, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', id, '-c', file]);
  server.start(java, [...jvm, 'kafka.Kafka', file]);
  server.isReady = () => server.isOpen;
  const probe = setInterval(async () => { server.isOpen = server.isOpen || await answers(server.port); }, 50);
  await server.waitReady().finally(() => clearInterval(probe));
  const logs = path.join(server.dir, 'logs');
  server.topics = () => [...new Set(readdirSync(logs).map((name) => name.match(/^(.+)-\d+$/)?.[1]).filter(Boolean))].sort();
  server.partitions = (topic) => partitionsOf(logs, topic);
  return server;
}
