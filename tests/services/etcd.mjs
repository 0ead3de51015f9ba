// etcd as Debian packs it: one member, or a cluster of three.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import { freePort } from './ports.mjs';
import { Service, findProgram } from './service.mjs';

// A certificate of its own for 127.0.0.1, which is its own authority.
function makeCertificate(server) {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(server.dir, name));
  server.prepare(findProgram('openssl', []), ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]);
  return { cert, key };
}

// A member that is not started yet: where clients will find it, and its peers.
async function prepareMember(name, at) {
  const server = new Service('etcd', ['etcd', 'nobody'], at);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  server.url = `http://${server.host}:${server.port}`;
  server.peer = `http://${server.host}:${await freePort()}`;
  server.member = `${name}=${server.peer}`;
  const [etcd, ctl] = ['etcd', 'etcdctl'].map((program) => findProgram(program, ['/usr/bin']));
  server.ctl = (...args) => spawnSync(ctl, [`--endpoints=${server.url}`, ...args],
    { encoding: 'utf8', timeout: 10_000, env: { ...process.env, ETCDCTL_API: '3' } });
  server.isReady = () => server.ctl('endpoint', 'health').status === 0;
  server.begin = (members, more) => server.start(etcd, [`--name=${name}`, `--data-dir=${server.dir}/data`,
    `--listen-client-urls=${server.tlsUrl ? `${server.url},${server.tlsUrl}` : server.url}`, `--advertise-client-urls=${server.url}`,
    `--listen-peer-urls=${server.peer}`, `--initial-advertise-peer-urls=${server.peer}`, `--initial-cluster=${members}`,
    '--log-level=error', '--logger=zap', ...more]);
  return server;
}

// Plain at `url`, and over TLS at `tlsUrl` with the certificate `cert`. No heartbeats of a cluster: it leads at once.
export async function startEtcd({ at } = {}) {
  const server = await prepareMember('one', at);
  server.tlsPort = await freePort();
  server.tlsUrl = `https://${server.host}:${server.tlsPort}`;
  const { cert, key } = makeCertificate(server);
  server.begin(server.member, [`--cert-file=${cert}`, `--key-file=${key}`, '--heartbeat-interval=20', '--election-timeout=200']);
  server.env = { PARLANCE_TEST_ETCD_TLS_URL: server.tlsUrl, PARLANCE_TEST_ETCD_CA: cert, PARLANCE_TEST_ETCD_DIR: server.dir };
  await server.waitReady();
  chmodSync(server.dir, 0o755); // for who checks the certificate
  chmodSync(cert, 0o644);
  return server;
}

// Three members, each where `places` says, or all here.
export async function startEtcdMembers(places = []) {
  const all = [];
  for (const [i, name] of ['one', 'two', 'three'].entries()) all.push(await prepareMember(name, places[i]));
  const members = all.map((each) => each.member).join();
  for (const each of all) each.begin(members, ['--heartbeat-interval=50', '--election-timeout=500']);
  for (const each of all) await each.waitReady();
  return all;
}

// Tests find them in PARLANCE_TEST_ETCD_URLS and PARLANCE_TEST_ETCD_PIDS; the first is returned and stops all.
export async function startEtcdCluster() {
  const all = await startEtcdMembers();
  const [first, ...others] = all;
  const stopFirst = first.stop.bind(first);
  first.stop = () => Promise.all([stopFirst(), ...others.map((each) => each.stop())]);
  first.env = { PARLANCE_TEST_ETCD_URLS: all.map((each) => each.url).join(), PARLANCE_TEST_ETCD_PIDS: all.map((each) => each.pid).join() };
  return first;
}
