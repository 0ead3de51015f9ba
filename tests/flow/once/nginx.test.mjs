// Behind nginx, with the file that deploy/ ships: pages, API, sockets, uploads, who is who. Ports and certificate alone
// are the test's own.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { freePort } from '../../services/ports.mjs';
import { startServer } from '../server.mjs';

const root = path.dirname(path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url)))));
const skip = ['nginx', 'openssl'].some((name) => spawnSync(name, ['-v'], { env: { PATH: `${process.env.PATH}:/usr/sbin` } }).error)
  && 'there is no nginx (tools/deps.sh test installs it)';
let dir;
let nginx;
let servers;
let port;
let plainPort;
let ada;

// Two servers on one configuration would need one database: the second is only there to be asked when the first is gone.
function configure(upstreams) {
  const own = readFileSync(path.join(root, 'deploy/nginx/parlance.conf'), 'utf8')
    .replace(/^\s*listen \[::\].*\n/gm, '')
    .replace('listen 80;', `listen 127.0.0.1:${plainPort};`)
    .replace('listen 443 ssl http2;', `listen 127.0.0.1:${port} ssl http2;`)
    .replace(/server 127\.0\.0\.1:8800 ([^;]*);/, upstreams.map((one) => `server 127.0.0.1:${one} $1;`).join('\n'))
    .replaceAll('/etc/parlance/', `${dir}/`);
  writeFileSync(path.join(dir, 'parlance.conf'), own);
  writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1;
    events {} http { access_log off; client_body_temp_path ${dir}/t; proxy_temp_path ${dir}/t; fastcgi_temp_path ${dir}/t;
    uwsgi_temp_path ${dir}/t; scgi_temp_path ${dir}/t; include ${dir}/parlance.conf; }`);
}

function ask(method, target, { headers = {}, body, token = ada?.token } = {}) {
  return new Promise((resolve, reject) => {
    const all = { host: 'meet.example.org', ...(token && { authorization: `Bearer ${token}` }), ...headers };
    const out = request({ host: '127.0.0.1', port, method, path: target, rejectUnauthorized: false, headers: all }, (reply) => {
      const parts = [];
      reply.on('data', (part) => parts.push(part));
      reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, bytes: Buffer.concat(parts) }));
    }).on('error', reject);
    out.end(body);
  });
}

before(async () => {
  if (skip) return;
  dir = mkdtempSync(path.join(tmpdir(), 'parlance-nginx-'));
  mkdirSync(path.join(dir, 't'));
  spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=meet.example.org',
    '-keyout', path.join(dir, 'privkey.pem'), '-out', path.join(dir, 'fullchain.pem')]);
  [port, plainPort] = [await freePort(), await freePort()];
  servers = [await startServer({ env: { PARLANCE_HTTP_TRUSTED_PROXIES: '127.0.0.1', PARLANCE_PUBLIC_URL: 'https://meet.example.org',
    PARLANCE_HTTP_RATE_LIMITS: 'true' } })];
  ada = await servers[0].register('ada');
  configure([servers[0].port]);
  const args = ['-c', path.join(dir, 'nginx.conf'), '-p', dir];
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const checked = spawnSync('nginx', ['-t', ...args], { env, encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stderr);
  nginx = spawn('nginx', args, { env, stdio: 'ignore' });
  for (let i = 0; i < 200 && !(await ask('GET', '/health').catch(() => null)); i++)
    await new Promise((resolve) => { setTimeout(resolve, 20); });
});
after(async () => {
  if (nginx) {
    nginx.kill('SIGTERM');
    await new Promise((resolve) => { nginx.once('exit', resolve); });
  }
  for (const server of servers ?? []) await server.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

test('pages and API, over TLS alone; figures for nobody', { skip }, async () => {
  assert.match((await ask('GET', '/')).bytes.toString(), /<!doctype html>/i);
  assert.equal(JSON.parse((await ask('GET', '/api/v1/users/me')).bytes).username, 'ada');
  assert.equal((await ask('GET', '/metrics')).status, 404);
  const plain = await fetch(`http://127.0.0.1:${plainPort}/x?y=1`, { redirect: 'manual' });
  assert.equal(plain.status, 301);
  assert.match(plain.headers.get('location'), /^https:\/\/[^/]+\/x\?y=1$/);
});

test('an address is the one nginx saw, whatever a client claims', { skip }, async () => {
  const signedIn = await ask('POST', '/api/v1/auth/login', { token: null, body: '{"login":"ada","password":"ada-password"}',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7', 'user-agent': 'liar' } });
  assert.equal(signedIn.status, 200);
  assert.match([signedIn.headers['set-cookie']].flat().join(), /; Secure/i, 'and the scheme is the outside one');
  const { sessions } = JSON.parse((await ask('GET', '/api/v1/auth/sessions')).bytes);
  assert.equal(sessions.find((one) => one.user_agent === 'liar')?.remote_addr, '127.0.0.1', JSON.stringify(sessions));
});

test('a socket for messages: through, both ways, and pinged', { skip }, async () => {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/ws/im`, 'parlance.v1.json', { rejectUnauthorized: false,
    headers: { authorization: `Bearer ${ada.token}`, host: 'meet.example.org', origin: 'https://meet.example.org' } });
  const frames = [];
  socket.on('message', (data) => frames.push(JSON.parse(data)));
  const until = async (isIt, what) => {
    for (let i = 0; i < 500; i++) {
      const found = frames.find(isIt);
      if (found) return found;
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    throw new Error(`${what} did not come: ${JSON.stringify(frames)}`);
  };
  await until((frame) => frame.ready, 'ready');
  const { user_id: bob } = { user_id: (await servers[0].register('bob')).user.id };
  socket.send(JSON.stringify({ id: 1, send_message: { to_user_id: bob, client_msg_id: 'k1', content: { text: 'through nginx' } } }));
  const sent = await until((frame) => frame.id === 1, 'the answer');
  assert.ok(sent.send_message, JSON.stringify(sent));
  socket.close();
  await new Promise((resolve) => { socket.once('close', resolve); });
});

test('an upload passes as it comes, and goes on after a cut', { skip }, async () => {
  const bytes = Buffer.alloc(3_000_000, 'parlance ');
  const tus = { 'tus-resumable': '1.0.0' };
  const begun = await ask('POST', '/api/v1/files/uploads', { headers: { ...tus, 'upload-length': String(bytes.length),
    'upload-metadata': `filename ${Buffer.from('a.txt').toString('base64')}` } });
  assert.equal(begun.status, 201);
  const at = new URL(begun.headers.location, 'https://meet.example.org').pathname;
  const type = { ...tus, 'content-type': 'application/offset+octet-stream' };
  // The first try dies in the middle; what had come is kept, because nginx had passed it on.
  await new Promise((resolve) => {
    const out = request({ host: '127.0.0.1', port, method: 'PATCH', path: at, rejectUnauthorized: false, headers: { ...type,
      host: 'meet.example.org', authorization: `Bearer ${ada.token}`, 'upload-offset': '0', 'content-length': String(bytes.length) } });
    out.on('error', resolve);
    out.write(bytes.subarray(0, 2_000_000), () => setTimeout(() => { out.destroy(); resolve(); }, 500));
  });
  let offset = 0;
  for (let i = 0; i < 100 && !offset; i++) {
    const head = await ask('HEAD', at, { headers: tus });
    offset = Number(head.headers['upload-offset'] ?? 0);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  assert.ok(offset > 0 && offset < bytes.length, `${offset} bytes had come`);
  let done;
  for (let i = 0; i < 100 && done?.status !== 204; i++) { // the first request lets go of the upload when its end is noticed
    done = await ask('PATCH', at, { headers: { ...type, 'upload-offset': String(offset) }, body: bytes.subarray(offset) });
    if (done.status !== 204) {
      await new Promise((resolve) => { setTimeout(resolve, 50); });
      offset = Number((await ask('HEAD', at, { headers: tus })).headers['upload-offset']);
    }
  }
  assert.equal(done.status, 204);
  const got = await ask('GET', `/api/v1/files/${at.split('/').pop()}`);
  assert.equal(got.status, 200);
  assert.ok(got.bytes.equals(bytes), 'the same bytes');
});
