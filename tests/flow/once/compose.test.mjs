// What compose.full.yml puts before the services: its nginx, with the pages and the API of gateways behind it and signaling in a
// process of its own. Addresses and certificate alone are the test's; the scripts before the first start are the real ones.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Missing, freePort, startService } from '../../services/services.mjs';
import { eventually, servicePorts, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';
import { Talker } from '../talker.mjs';

const deploy = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'deploy');
const programs = { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } };
const isHere = ['nginx', 'openssl'].every((name) => !spawnSync(name, ['-v'], programs).error);

describe("the nginx of compose.full.yml", { skip: isHere ? false : 'no nginx here' }, () => {
  let dir, nginx, main, apart, ann;
  const front = {};

  // deploy/docker/prepare.sh, in a directory of ours and for nobody else.
  function prepare() {
    const script = readFileSync(path.join(deploy, 'docker/prepare.sh'), 'utf8').replaceAll('/tls/', `${dir}/tls/`).replace('8800:8800 /blobs', `${process.getuid()} ${dir}`);
    return spawnSync('bash', ['-c', script], { env: { ...process.env, PUBLIC_URL: 'https://meet.example.org:8443' }, encoding: 'utf8' });
  }

  before(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'parlance-compose-'));
    mkdirSync(path.join(dir, 'tls'));
    assert.match(prepare().stdout, /^made a certificate for meet\.example\.org:/);
    const made = readFileSync(path.join(dir, 'tls/fullchain.pem'), 'utf8');
    assert.equal(prepare().stdout, ''); // keeps what is there
    assert.equal(readFileSync(path.join(dir, 'tls/fullchain.pem'), 'utf8'), made);
    assert.equal(statSync(path.join(dir, 'tls/privkey.pem')).mode & 0o77, 0);

    const others = ['user', 'auth', 'media', 'meeting', 'file', 'message', 'presence', 'task'];
    const env = {
      CLUSTER_SECRET: 'a-secret-of-this-cluster-that-is-long-enough', PARLANCE_GRPC_HOST: '127.0.0.1',
      PARLANCE_HTTP_TRUSTED_PROXIES: '127.0.0.1', ...servicePorts('GRPC', [...others, 'signaling']),
    };
    const signalingPort = await freePort();
    main = await startServer({
      env: { ...env, PARLANCE_SERVICES_REMOTE: `signaling=127.0.0.1:${signalingPort}` },
      args: ['serve', `--services=${others.join(',')},gateway`],
    });
    const portOf = (name) => main.output.match(new RegExp(`gRPC: ${name} on port (\\d+)`))[1];
    apart = await startServer({
      env: { ...env, PARLANCE_GRPC_PORTS_SIGNALING: signalingPort, PARLANCE_SERVICES_REMOTE: others.map((name) => `${name}=127.0.0.1:${portOf(name)}`).join(',') },
      args: ['serve', '--services=signaling'],
    });
    ann = await main.register('ann');
    [front.port, front.tlsPort] = [await freePort(), await freePort()];
    const own = readFileSync(path.join(deploy, 'nginx/compose.conf'), 'utf8').replaceAll('/etc/parlance/', `${dir}/tls/`)
      .replace('server gateway:8800', `server 127.0.0.1:${main.port}`)
      .replace('server signaling:8081', `server 127.0.0.1:${apart.output.match(/HTTP: signaling on port (\d+)/)[1]}`)
      .replace('listen 8800;', `listen 127.0.0.1:${front.port};`).replace('listen 8443 ', `listen 127.0.0.1:${front.tlsPort} `);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/t;`).join(' ');
    writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1;
      events {} http { access_log off; ${temporary} ${own} }`);
    nginx = spawn('nginx', ['-c', path.join(dir, 'nginx.conf'), '-p', dir], { ...programs, stdio: 'ignore' });
    front.url = `http://127.0.0.1:${front.port}`;
    await eventually(async () => (await fetch(`${front.url}/health`)).status === 200, { ms: 10_000 });
  });
  after(async () => {
    if (nginx) {
      nginx.kill('SIGTERM');
      await new Promise((resolve) => { nginx.once('exit', resolve); });
    }
    await apart?.stop();
    await main?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test('the API, and no figures', async () => {
    const reply = await fetch(`${front.url}/api/v1/users/me`, { headers: { authorization: `Bearer ${ann.token}` } });
    assert.equal((await reply.json()).username, 'ann');
    assert.equal((await fetch(`${front.url}/metrics`)).status, 404);
  });

  for (const scheme of ['ws', 'wss']) {
    test(`both sockets by ${scheme}, signaling from its own process`, async () => {
      const through = { wsUrl: `${scheme}://127.0.0.1:${scheme === 'ws' ? front.port : front.tlsPort}` };
      const signaler = await Signaler.open(through, ann, { rejectUnauthorized: false });
      assert.equal((await signaler.ask('ping')).type, 'pong');
      const sockets = async (server) => Number((await (await fetch(`${server.url}/metrics`)).text()).match(/^parlance_signaling_sockets (\d+)/m)?.[1] ?? 0);
      assert.equal(await sockets(apart), 1);
      assert.equal(await sockets(main), 0);
      await signaler.close();
      const talker = await Talker.open(through, ann, { rejectUnauthorized: false });
      await talker.ok('ping', {});
      await talker.close();
    });
  }
});

// ---- the services themselves ----

// compose.full.yml with the example's values, secrets set.
function readCompose() {
  const script = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))';
  const done = spawnSync('python3', ['-c', script, path.join(deploy, 'docker/compose.full.yml')], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  const values = Object.fromEntries(readFileSync(path.join(deploy, 'docker/.env.example'), 'utf8').split('\n')
    .filter((line) => /^[A-Z]/.test(line)).map((line) => line.split(/=(.*)/s)).map(([name, value]) => [name, value.replaceAll('change-me', 'something-long')]));
  const text = done.stdout.replace(/\$\{([A-Z_]+)(?::?[-?]([^}]*))?\}/g, (_, name, other) => values[name] ?? other ?? '');
  return JSON.parse(text);
}

async function tryServices(names) {
  const servers = [];
  for (const name of names) {
    try {
      servers.push(await startService(name));
    } catch (problem) {
      if (!(problem instanceof Missing)) throw problem;
      await Promise.all(servers.map((one) => one.stop()));
      return null;
    }
  }
  return servers;
}

const engines = await tryServices(['postgres', 'redis', 'etcd']);

describe('the services of compose.full.yml', { skip: engines ? false : 'PostgreSQL, Redis or etcd cannot be had' }, () => {
  const parts = new Map();
  let dir;

  // What differs here: where the engines are (Redis in Kafka's place, a directory in the bucket's), that all is one machine, and that nobody watches.
  const own = () => ({
    PARLANCE_STORE_URL: engines[0].url, PARLANCE_CACHE_URL: engines[1].url,
    PARLANCE_EVENT_BUS_TYPE: 'redis', PARLANCE_EVENT_BUS_URL: engines[1].url, PARLANCE_MESSAGE_QUEUE_TYPE: 'redis',
    PARLANCE_REGISTRY_ENDPOINTS: engines[2].url, PARLANCE_REGISTRY_USERNAME: '', PARLANCE_REGISTRY_PASSWORD: '',
    PARLANCE_LOG_LOKI_URL: '', PARLANCE_TELEMETRY_OTLP_URL: '', PARLANCE_BLOB_DRIVER: 'files', PARLANCE_BLOB_DIR: path.join(dir, 'blobs'),
    PARLANCE_BLOB_ENDPOINT: '', PARLANCE_BLOB_BUCKET: '', PARLANCE_BLOB_ACCESS_KEY: '', PARLANCE_BLOB_SECRET_KEY: '',
    PARLANCE_MANAGEMENT_HOST: '127.0.0.1', PARLANCE_MANAGEMENT_PORT: '0', PARLANCE_GRPC_HOST: '127.0.0.1',
    PARLANCE_MEDIA_ANNOUNCED_ADDRESSES: '127.0.0.1', PARLANCE_PUBLIC_URL: '', PARLANCE_AUTH_REGISTRATION: 'open',
    ...servicePorts('GRPC', ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task']),
  });

  before(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'parlance-services-'));
    const { services } = readCompose();
    const all = Object.entries(services).filter(([, one]) => one.environment?.PARLANCE_SERVICES_RUN);
    const start = async ([name, one], number) => {
      const dataDir = path.join(dir, `${name}-${number}`);
      mkdirSync(dataDir);
      const { HEALTH_PORT, ...environment } = one.environment;
      assert.equal(HEALTH_PORT, environment.PARLANCE_MANAGEMENT_PORT);
      parts.set(`${name}-${number}`, await startServer({ env: { ...environment, ...own() }, dataDir }));
    };
    await start(all[0], 1); // makes the tables, as `migrate` does
    await Promise.all(all.flatMap((one) => Array.from({ length: one[1].deploy?.replicas ?? 1 }, (_, i) => i + 1)
      .filter((number) => !(one === all[0] && number === 1)).map((number) => start(one, number))));
  });
  after(async () => {
    const names = [...parts.keys()].sort((a, b) => b.startsWith('gateway') - a.startsWith('gateway'));
    for (const name of names) await parts.get(name).stop();
    await Promise.all(engines.map((one) => one.stop()));
    rmSync(dir, { recursive: true, force: true });
  });

  test('each is ready', async () => {
    for (const [name, part] of parts) {
      const port = part.output.match(/management on port (\d+)/)[1];
      await eventually(async () => {
        const reply = await fetch(`http://127.0.0.1:${port}/ready`);
        if (reply.status !== 200) throw new Error(`${name}: ${await reply.text()}`);
      }, { ms: 15_000, every: 100 });
    }
  });

  test('people on two gateways talk and meet', async () => {
    const [one, two] = [parts.get('gateway-1'), parts.get('gateway-2')];
    const ann = await one.register('ann');
    const bob = await two.register('bob');
    const there = await Talker.open(two, bob);
    const here = await Talker.open(one, ann);
    await here.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'c1', content: { text: 'from the other gateway' } });
    await there.next('change', (change) => change.type === 'message');
    const meeting = (await ann.post('/api/v1/meetings', { title: 'composed' })).body;
    assert.equal((await ann.post(`/api/v1/meetings/${meeting.id}/join`)).status, 200);
    const port = parts.get('signaling-1').output.match(/HTTP: signaling on port (\d+)/)[1];
    const signaler = await Signaler.open({ wsUrl: `ws://127.0.0.1:${port}` }, ann);
    assert.equal((await signaler.join(meeting)).type, 'room_joined');
    for (const wire of [signaler, here, there]) await wire.close();
  });
});
