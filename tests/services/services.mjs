// Real servers for tests: Debian's own, each on a free port of 127.0.0.1 in a temporary directory, as a user
// without rights (PostgreSQL refuses root), stopped by its process id. A server that cannot be had throws Missing.
//
//   const server = await startService('postgres');     // or another of `starters`, below
//   server.url                                         // postgres://parlance:...@127.0.0.1:40123/parlance
//   await server.end('SIGKILL'); server.start();       // the same again, on the same data
//   await server.stop();
// { at: { host, enter: [command to start it by] } } lets those of `make chaos` listen elsewhere: in a network namespace.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from './ports.mjs';
import { makeCertificates } from './certificates.mjs';
import { startEtcd, startEtcdCluster } from './etcd.mjs';
import { startRabbitmq, startRabbitmqTls } from './rabbitmq.mjs';
import { startS3 } from './s3.mjs';
import { startKafka, startKafkaTls } from './kafka.mjs';
import { startRedis, startRedisCluster, startRedisSentinel, startRedisTls } from './redis.mjs';

const READY_MS = 30_000;
const STOP_MS = 15_000;

export { freePort };

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

// Its certificate and key; who runs the test reads the authority from outside of the server's directory.
function certify(server) {
  const made = makeCertificates(server);
  server.ca = path.join(mkdtempSync(path.join(tmpdir(), 'parlance-ca-')), 'ca.pem');
  writeFileSync(server.ca, readFileSync(made.ca));
  return made;
}

async function runPostgres(server, postgres, psql, data, settings) {
  server.start(postgres, ['-D', data, '-c', `listen_addresses=${server.host}`, '-c', `port=${server.port}`,
    '-c', `unix_socket_directories=${server.dir}`, '-c', 'max_connections=300', ...settings.flatMap((one) => ['-c', one])]);
  server.url = `postgres://parlance:${server.password}@${server.host}:${server.port}/postgres`;
  server.sql = (text) => spawnSync(psql, [server.url, '-qAt', '-c', text], { encoding: 'utf8', timeout: 10_000 });
  server.isReady = () => server.sql('SELECT 1').stdout?.trim() === '1';
  await server.waitReady();
  return server;
}

function postgresPrograms(...names) {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => b - a) : [];
  const places = versions.map((version) => path.join(base, version, 'bin'));
  return names.map((name) => findProgram(name, places));
}

// A standby of the primary, on a copy of its data; standby.sql('SELECT pg_promote()') makes a primary of it.
export async function startStandby(primary) {
  const [basebackup, postgres, psql] = postgresPrograms('pg_basebackup', 'postgres', 'psql');
  const server = new Service('postgres', ['postgres', 'nobody']);
  server.stopSignal = 'SIGINT';
  server.port = await freePort();
  server.password = primary.password;
  const data = path.join(server.dir, 'data');
  server.prepare(basebackup, ['-D', data, '-d', primary.url, '-R', '-X', 'stream', '-c', 'fast', '--no-sync']);
  return runPostgres(server, postgres, psql, data, []);
}

async function startPostgres({ tls = false, settings = [], at } = {}) {
  const [initdb, postgres, psql] = postgresPrograms('initdb', 'postgres', 'psql');
  const server = new Service('postgres', ['postgres', 'nobody'], at);
  server.stopSignal = 'SIGINT'; // does not wait for clients
  server.port = await freePort();
  const data = path.join(server.dir, 'data');
  const file = path.join(server.dir, 'password');
  writeFileSync(file, server.password);
  chmodSync(file, 0o644);
  server.prepare(initdb, ['-D', data, '-U', 'parlance', '-E', 'UTF8', '--locale=C.UTF-8', '-A', 'scram-sha-256',
    `--pwfile=${file}`, '--no-sync']);
  if (at) appendFileSync(path.join(data, 'pg_hba.conf'), 'host all all samenet scram-sha-256\n');
  const certificates = tls ? certify(server) : null;
  return runPostgres(server, postgres, psql, data, [...settings,
    ...(tls ? ['ssl=on', `ssl_cert_file=${certificates.cert}`, `ssl_key_file=${certificates.key}`] : [])]);
}

async function startMysql({ tls = false, at } = {}) {
  const places = ['/usr/sbin', '/usr/bin'];
  const [install, mariadbd, client] = ['mariadb-install-db', 'mariadbd', 'mariadb'].map((name) => findProgram(name, places));
  const server = new Service('mysql', ['mysql', 'nobody'], at);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  const data = path.join(server.dir, 'data');
  const socket = path.join(server.dir, 'mysql.sock');
  const tables = path.join(server.dir, 'tmp'); // their names repeat: in one place two servers take each other's
  mkdirSync(tables);
  chmodSync(tables, 0o777);
  server.prepare(install, ['--no-defaults', `--tmpdir=${tables}`, `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db']);
  const init = path.join(server.dir, 'init.sql');
  writeFileSync(init, `CREATE DATABASE parlance;\nCREATE USER parlance@'%' IDENTIFIED BY '${server.password}';\n`
    + 'GRANT ALL ON *.* TO parlance@\'%\';\n');
  chmodSync(init, 0o644);
  const certificates = tls ? certify(server) : null;
  server.start(mariadbd, ['--no-defaults', `--tmpdir=${tables}`, `--datadir=${data}`, `--socket=${socket}`, `--port=${server.port}`,
    `--bind-address=${server.host}`, `--init-file=${init}`, '--skip-name-resolve', '--max-connections=300',
    '--character-set-server=utf8mb4', '--innodb-buffer-pool-size=64M',
    ...(tls ? [`--ssl-cert=${certificates.cert}`, `--ssl-key=${certificates.key}`, '--require-secure-transport=ON'] : [])]);
  server.url = `mysql://parlance:${server.password}@${server.host}:${server.port}/parlance`;
  server.sql = (text) => spawnSync(client, ['--no-defaults', `-h${server.host}`, `-P${server.port}`, '-uparlance',
    `-p${server.password}`, ...(tls ? ['--ssl'] : []), '-NBe', text, 'parlance'], { encoding: 'utf8', timeout: 10_000 });
  server.isReady = () => server.sql('SELECT 1').stdout?.trim() === '1';
  await server.waitReady();
  return server;
}

const starters = {
  postgres: startPostgres,
  mysql: startMysql,
  etcd: startEtcd,
  'etcd-cluster': startEtcdCluster,
  rabbitmq: startRabbitmq,
  'rabbitmq-tls': startRabbitmqTls,
  kafka: startKafka,
  'kafka-tls': startKafkaTls,
  redis: startRedis,
  s3: startS3,
  'redis-tls': startRedisTls,
  'redis-sentinel': startRedisSentinel,
  'redis-cluster': startRedisCluster,
};

export function startService(name, options) {
  if (!starters[name]) throw new Error(`no service is called ${name}`);
  return starters[name](options);
}

function tell(program, args) {
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 });
  if (done.status !== 0) throw new Error(`${program}: ${done.error ?? ''} ${done.stderr}`);
}

// A schema (PostgreSQL) or database of this name in the server, made when it is not there: its address.
export function databaseIn(driver, { url }, schema) {
  if (driver === 'postgres') {
    tell('psql', [url, '-qc', `SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS ${schema}`]);
    return `${url}?options=-csearch_path%3D${schema}`;
  }
  const { hostname, port, username, password } = new URL(url);
  tell('mariadb', ['--no-defaults', `-h${hostname}`, `-P${port}`, `-u${username}`, `-p${password}`,
    '-e', `CREATE DATABASE IF NOT EXISTS ${schema}`]);
  return url.replace(/[^/]*$/, schema);
}

// The same in the server whose address run.mjs put into the environment.
export function databaseOf(driver, name) {
  const url = process.env[`PARLANCE_TEST_${driver.toUpperCase()}_URL`];
  if (!url) throw new Error(`no server: run this by node tests/services/run.mjs ${driver} ...`);
  return databaseIn(driver, { url }, `t_${Buffer.from(name).toString('hex').slice(-40)}`);
}
