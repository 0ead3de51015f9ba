// etcd as Debian packs it, one member.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import { Service, findProgram, freePort } from './services.mjs';

// A certificate of its own for 127.0.0.1, which is its own authority.
function makeCertificate(server) {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(server.dir, name));
  server.prepare(findProgram('openssl', []), ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]);
  return { cert, key };
}

// Plain at `url`, and over TLS at `tlsUrl` with the certificate `cert`. No heartbeats of a cluster: it leads at once.
export async function startEtcd({ at } = {}) {
  const [etcd, ctl] = ['etcd', 'etcdctl'].map((name) => findProgram(name, ['/usr/bin']));
  const server = new Service('etcd', ['etcd', 'nobody'], at);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  server.tlsPort = await freePort();
  const peer = `http://${server.host}:${await freePort()}`;
  server.url = `http://${server.host}:${server.port}`;
  server.tlsUrl = `https://${server.host}:${server.tlsPort}`;
  const { cert, key } = makeCertificate(server);
  server.start(etcd, ['--name=one', `--data-dir=${server.dir}/data`, `--listen-client-urls=${server.url},${server.tlsUrl}`,
    `--advertise-client-urls=${server.url}`, `--cert-file=${cert}`, `--key-file=${key}`, `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=one=${peer}`, '--heartbeat-interval=20',
    '--election-timeout=200', '--log-level=error', '--logger=zap']);
  server.ctl = (...args) => spawnSync(ctl, [`--endpoints=${server.url}`, ...args],
    { encoding: 'utf8', timeout: 10_000, env: { ...process.env, ETCDCTL_API: '3' } });
  server.isReady = () => server.ctl('endpoint', 'health').status === 0;
  server.env = { PARLANCE_TEST_ETCD_TLS_URL: server.tlsUrl, PARLANCE_TEST_ETCD_CA: cert, PARLANCE_TEST_ETCD_DIR: server.dir };
  await server.waitReady();
  chmodSync(server.dir, 0o755); // for who checks the certificate
  chmodSync(cert, 0o644);
  return server;
}
