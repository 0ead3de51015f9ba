// Apache Kafka, one broker that is its own controller (KRaft). Its jars come from Maven's registry by Debian's maven, once:
// they stay in ~/.m2, and the list of them in the directory of the build's cache beside them.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brokerCases, makeCertificates, options, writeFor } from './certificates.mjs';
import { freePort } from './ports.mjs';
import { Missing, Service, findProgram } from './service.mjs';

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

function answers(host, port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, host, () => { socket.destroy(); resolve(true); }).once('error', () => resolve(false));
  });
}

// What the broker keeps of a topic, from its own files: the bytes of each partition.
function partitionsOf(dir, topic) {
  const own = new RegExp(`^${topic.replaceAll('.', '\\.')}-\\d+$`);
  return readdirSync(dir).filter((name) => own.test(name)).map((name) => Buffer.concat(
    readdirSync(path.join(dir, name)).filter((file) => file.endsWith('.log')).map((file) => readFileSync(path.join(dir, name, file)))));
}

// Beside the plain listener: over TLS for who shows a certificate, over TLS with a password, and at an address that the
// certificate does not name.
async function secureListeners(server) {
  const tls = makeCertificates(server);
  const [own, sasl, named] = [await freePort(), await freePort(), await freePort()];
  server.password = `p:a/${server.password}%`;
  const login = (name, rest) => `org.apache.kafka.common.security.${name} required${rest};`;
  const keys = writeFor(server, 'keys.pem', [tls.key, tls.cert].map((file) => readFileSync(file, 'utf8')).join(''));
  const address = (user, place, more) => `kafkas://${user ? `parlance:${encodeURIComponent(user)}@` : ''}${place}${options(more)}`;
  const [{ ca }, good, mine] = [tls, server.password, { cert: tls.clientCert, key: tls.clientKey }];
  server.env = brokerCases([
    ['a certificate of ours', 'works', address('', `127.0.0.1:${own}`, { ca, ...mine })],
    ['PLAIN, by name', 'works', address(good, `localhost:${sasl}`, { ca })],
    ['SCRAM', 'works', address(good, `127.0.0.1:${sasl}`, { ca, sasl: 'SCRAM-SHA-512' })],
    ['another authority', 'bad: name who signed it by ca=FILE', address(good, `127.0.0.1:${sasl}`, { ca: tls.strangersCa })],
    ['another name', 'bad: call it by a name that its certificate bears', address('', `127.0.0.2:${named}`, { ca })],
    ['no certificate of ours', 'bad: look at ca=, cert= and key=', address('', `127.0.0.1:${own}`, { ca })],
    ['a wrong password, SCRAM', 'bad: look at user, password', address('wrong', `127.0.0.1:${sasl}`, { ca, sasl: 'SCRAM-SHA-512' })],
    ['TLS and none', 'bad: kafkas:// is over TLS', `kafka://127.0.0.2:${named}`],
    ['no such file', 'refused: no usable certificate of an authority', address(good, `127.0.0.1:${sasl}`, { ca: `${ca}.not` })],
    ['a key without a certificate', 'refused: expected kafka://', address('', `127.0.0.1:${own}`, { ca, key: mine.key })],
    ['an authority without TLS', 'refused: expected kafka://', `kafka://127.0.0.1:${own}${options({ ca })}`],
  ], good);
  return {
    scram: ['-S', `SCRAM-SHA-512=[name=parlance,password=${good}]`],
    listeners: `,TLS://127.0.0.1:${own},SASL://127.0.0.1:${sasl},NAMED://127.0.0.2:${named}`,
    protocols: ',TLS:SSL,SASL:SASL_SSL,NAMED:SSL',
    settings: {
      'ssl.keystore.type': 'PEM', 'ssl.keystore.location': keys, 'ssl.truststore.type': 'PEM', 'ssl.truststore.location': ca,
      'listener.name.tls.ssl.client.auth': 'required', 'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
      'listener.name.sasl.plain.sasl.jaas.config': login('plain.PlainLoginModule', ` user_parlance="${good}"`),
      'listener.name.sasl.scram-sha-512.sasl.jaas.config': login('scram.ScramLoginModule', ''),
    },
  };
}

export async function startKafka({ tls = false, at } = {}) {
  const [java, maven] = [['java', ['/usr/bin']], ['mvn', ['/usr/bin']]].map(([name, places]) => findProgram(name, places));
  const jars = classPath(maven);
  const server = new Service('kafka', null, at);
  server.stopSignal = 'SIGKILL'; // its own stop takes seconds, and nothing is kept
  server.port = await freePort();
  server.readyMs = 90_000; // a Java virtual machine, on a busy machine
  const controller = await freePort();
  server.url = `kafka://${server.host}:${server.port}`;
  const secure = tls ? await secureListeners(server) : { scram: [], listeners: '', protocols: '' };
  const file = path.join(server.dir, 'server.properties');
  writeFileSync(file, Object.entries({
    'process.roles': 'broker,controller', 'node.id': 1, 'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://${server.host}:${server.port},CONTROLLER://127.0.0.1:${controller}${secure.listeners}`,
    'advertised.listeners': `PLAINTEXT://${server.host}:${server.port}${secure.listeners}`, 'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${secure.protocols}`, 'log.dirs': path.join(server.dir, 'logs'),
    'num.partitions': 4, 'offsets.topic.replication.factor': 1, 'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': 1, 'transaction.state.log.min.isr': 1, 'transaction.state.log.num.partitions': 2,
    'share.coordinator.state.topic.replication.factor': 1, 'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000, 'num.io.threads': 4, 'num.network.threads': 2, 'log.cleaner.enable': false, ...secure.settings,
  }).map(([key, value]) => `${key}=${value}\n`).join(''));
  const jvm = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', jars];
  const id = `A${randomBytes(16).toString('base64url').slice(1)}`; // no option, whatever chance says
  server.prepare(java, [...jvm, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', id, '-c', file, ...secure.scram]);
  server.start(java, [...jvm, 'kafka.Kafka', file]);
  server.isReady = () => server.isOpen;
  const probe = setInterval(async () => { server.isOpen = server.isOpen || await answers(server.host, server.port); }, 50);
  await server.waitReady().finally(() => clearInterval(probe));
  const logs = path.join(server.dir, 'logs');
  server.topics = () => [...new Set(readdirSync(logs).map((name) => name.match(/^(.+)-\d+$/)?.[1]).filter(Boolean))].sort();
  server.partitions = (topic) => partitionsOf(logs, topic);
  return server;
}

export const startKafkaTls = () => startKafka({ tls: true });
