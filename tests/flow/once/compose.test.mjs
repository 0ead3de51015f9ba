// What compose.full.yml puts before the services: its nginx, with the pages and the API of gateways behind it and signaling in a
// process of its own. Addresses and certificate alone are the test's; the scripts before the first start are the real ones.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../services/services.mjs';
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
