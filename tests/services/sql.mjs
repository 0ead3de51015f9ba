// PostgreSQL and MariaDB, and databases in them.
import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeCertificates } from './certificates.mjs';
import { freePort } from './ports.mjs';
import { Service, findProgram } from './service.mjs';

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

export async function startPostgres({ tls = false, settings = [], at } = {}) {
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

export async function startMysql({ tls = false, at } = {}) {
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

// ---- databases ----

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
