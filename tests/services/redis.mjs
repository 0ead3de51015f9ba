// Redis as Debian packs it: plain, over TLS, a master with a replica and three sentinels, a cluster of three.
import { spawnSync } from 'node:child_process';
import { brokerCases, makeCertificates, options, writeFor } from './certificates.mjs';
import { freePort } from './ports.mjs';
import { Service, findProgram } from './service.mjs';

const places = ['/usr/bin', '/usr/local/bin'];

// One redis-server that is not waited for: `args` beyond its port, directory and password.
async function launch(args, { hasTls = false, at } = {}) {
  const [program, cli] = ['redis-server', 'redis-cli'].map((name) => findProgram(name, places));
  const server = new Service('redis', ['redis', 'nobody'], at);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  server.tls = hasTls ? makeCertificates(server) : [];
  const ports = hasTls ? ['--port', '0', '--tls-port', `${server.port}`, '--tls-cert-file', server.tls.cert, '--tls-key-file',
    server.tls.key, '--tls-ca-cert-file', server.tls.ca, '--tls-auth-clients', 'no'] : ['--port', `${server.port}`];
  server.start(program, [...ports, '--bind', server.host, ...(hasTls ? ['127.0.0.2'] : []), '--dir', server.dir, '--save', '', '--requirepass', server.password,
    '--masterauth', server.password, ...args]);
  server.cli = (...words) => spawnSync(cli, ['-h', server.host, '-p', `${server.port}`, '-a', server.password, '--no-auth-warning',
    ...(hasTls ? ['--tls', '--cacert', server.tls.ca] : []), ...words], { encoding: 'utf8', timeout: 20_000 }).stdout.trim();
  server.isReady = () => server.cli('PING') === 'PONG';
  return server;
}

const durable = ['--appendonly', 'yes', '--appendfsync', 'everysec'];

export async function startRedis({ at } = {}) {
  const server = await launch(durable, { at });
  await server.waitReady();
  server.url = `redis://:${server.password}@${server.host}:${server.port}`;
  return server;
}

export async function startRedisTls() {
  const server = await launch(durable, { hasTls: true });
  await server.waitReady();
  const { ca, strangersCa } = server.tls;
  const address = (authority, password = server.password, place = '127.0.0.1') =>
    `rediss://:${password}@${place}:${server.port}/1${options({ ca: authority })}`;
  server.url = address(ca);
  server.env = brokerCases([
    ['by address', 'works', address(ca)],
    ['by name', 'works', address(ca, server.password, 'localhost')],
    ['another authority', 'bad: name who signed it by ca=FILE', address(strangersCa)],
    ['another name', 'bad: call it by a name that its certificate bears', address(ca, server.password, '127.0.0.2')],
    ['a wrong password', 'bad: WRONGPASS', address(ca, 'wrong')],
    ['no such file', 'refused: no usable certificate of an authority', address(`${ca}.not`)],
  ], server.password);
  return server;
}

// The first of several servers speaks for all of them.
async function together(all, url) {
  const [first] = all;
  const { stop } = first;
  first.url = url;
  first.stop = async () => {
    await Promise.all(all.slice(1).map((server) => server.stop()));
    await stop.call(first);
  };
  return first;
}

async function waitUntil(test, what) {
  const until = Date.now() + 30_000;
  while (!test()) {
    if (Date.now() > until) throw new Error(`it took too long until ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

async function launchSentinel(master) {
  const server = new Service('sentinel', ['redis', 'nobody']);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  const file = writeFor(server, 'sentinel.conf', `port ${server.port}\nbind 127.0.0.1\ndir ${server.dir}\n`
    + `sentinel monitor main 127.0.0.1 ${master.port} 2\nsentinel auth-pass main ${master.password}\n`
    + 'sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n');
  server.start(findProgram('redis-server', places), [file, '--sentinel']);
  const cli = findProgram('redis-cli', places);
  server.cli = (...words) => spawnSync(cli, ['-p', `${server.port}`, ...words], { encoding: 'utf8', timeout: 5_000 }).stdout.trim();
  server.isReady = () => server.cli('PING') === 'PONG';
  await server.waitReady();
  return server;
}

export async function startRedisSentinel() {
  const master = await launch(durable);
  await master.waitReady();
  const replica = await launch([...durable, '--replicaof', '127.0.0.1', `${master.port}`, '--masterauth', master.password,
    '--requirepass', master.password]);
  replica.password = master.password;
  await replica.waitReady();
  const sentinels = [];
  for (let i = 0; i < 3; i++) sentinels.push(await launchSentinel(master));
  await waitUntil(() => sentinels.every((one) => one.cli('SENTINEL', 'CKQUORUM', 'main').startsWith('OK 3')
    && one.cli('SENTINEL', 'REPLICAS', 'main').includes(`${replica.port}`)), 'the sentinels knew one another');
  const hosts = sentinels.map((one) => `127.0.0.1:${one.port}`).join(',');
  return together([master, replica, ...sentinels], `redis+sentinel://:${master.password}@${hosts}/main`);
}

export async function startRedisCluster() {
  const nodes = [];
  for (let i = 0; i < 3; i++) {
    const node = await launch([...durable, '--cluster-enabled', 'yes', '--cluster-port', `${await freePort()}`,
      '--cluster-node-timeout', '2000', ...(i ? ['--requirepass', nodes[0].password, '--masterauth', nodes[0].password] : [])]);
    if (i) node.password = nodes[0].password;
    await node.waitReady();
    nodes.push(node);
  }
  const hosts = nodes.map((node) => `127.0.0.1:${node.port}`);
  nodes[0].cli('--cluster', 'create', ...hosts, '--cluster-replicas', '0', '--cluster-yes');
  await waitUntil(() => nodes.every((node) => node.cli('CLUSTER', 'INFO').includes('cluster_state:ok')), 'the cluster was whole');
  return together(nodes, `redis+cluster://:${nodes[0].password}@${hosts.slice(0, 2).join(',')}`);
}
