// A real parlance of its own for a test: free ports, a temporary data directory, cheap password hashes.
//
//   const server = await startServer({ env: { PARLANCE_AUTH_REGISTRATION: 'closed' } });
//   const alice = await server.register('alice');          // a Client that is signed in
//   const me = await alice.get('/api/v1/users/me');        // { status, body, headers }
//   await server.stop();
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { databaseOf } from '../services/services.mjs';
import { enginesOf, isSplit, JWT_SECRET, shape, startDeployment } from './deployment.mjs';
import { mustBeAsDocumented } from './schema.mjs';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const binary = path.join(process.env.PARLANCE_BUILD ?? path.join(root, 'build'), 'src', 'parlance');

const READY_MS = 120_000;

// What configures a server in the shell of whoever runs the tests is no concern of theirs.
function plainEnvironment() {
  const kept = ['PARLANCE_SERVICES_PACK_CALLS'];
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => kept.includes(name)
    || !/^(PARLANCE_|JWT_SECRET$|ALLOWED_ORIGINS$)/.test(name)));
}

// PARLANCE_TEST_STORE=postgres runs every scenario over a real server (tests/services/run.mjs starts it); a data
// directory has a database of its own there.
const databases = new Map();
const storeDriver = process.env.PARLANCE_TEST_STORE || (shape ? 'postgres' : 'sqlite');
export const notSqlite = storeDriver !== 'sqlite' && 'for SQLite alone';

function storeOf(dataDir) {
  if (!notSqlite) return {};
  if (!databases.has(dataDir)) databases.set(dataDir, databaseOf(storeDriver, path.basename(dataDir)));
  return { PARLANCE_STORE_DRIVER: storeDriver, PARLANCE_STORE_URL: databases.get(dataDir) };
}

// Any free port for each of these services: PARLANCE_HTTP_PORTS_USER and so on.
export function servicePorts(protocol, names) {
  return Object.fromEntries(names.map((name) => [`PARLANCE_${protocol}_PORTS_${name.toUpperCase()}`, '0']));
}

export function environment(dataDir, extra = {}) {
  return {
    ...plainEnvironment(),
    PARLANCE_DATA_DIR: dataDir,
    ...(!extra.PARLANCE_STORE_URL && storeOf(dataDir)),
    ...enginesOf(dataDir),
    ...(process.env.PARLANCE_TEST_SHARDS && { PARLANCE_MESSAGES_SHARDS: process.env.PARLANCE_TEST_SHARDS }),
    PARLANCE_HTTP_HOST: '127.0.0.1',
    PARLANCE_HTTP_PORT: '0',
    PARLANCE_HTTP_TLS_PORT: '0',
    ...servicePorts('HTTP', ['user', 'signaling', 'meeting', 'media']),
    PARLANCE_TLS_ENABLED: 'false',
    PARLANCE_MEDIA_PORT: '0',
    PARLANCE_LOG_FORMAT: 'json',
    PARLANCE_HTTP_RATE_LIMITS: 'false',
    PARLANCE_AUTH_PASSWORD_PASSES: '1',
    PARLANCE_AUTH_PASSWORD_MEMORY_BYTES: '65536',
    ...extra,
  };
}

export function makeDataDir() {
  return mkdtempSync(path.join(tmpdir(), 'parlance-test-'));
}

// Runs a command to its end: { status, stdout, stderr }.
export function run(args, { dataDir, env, input, cwd } = {}) {
  return spawnSync(binary, args, {
    env: environment(dataDir ?? '/nonexistent', env), encoding: 'utf8', input: input ?? '', timeout: 20_000, cwd,
  });
}

// Who was left by a test that failed must not keep the tests' process from ending, and ends with it.
const alive = new Set();
const hold = (child, isHeld) => { for (const one of [child, child.stdout, child.stderr]) one[isHeld ? 'ref' : 'unref'](); };
if (process.env.NODE_TEST_CONTEXT) after(() => alive.forEach((child) => hold(child, false)));
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

export class Server {
  constructor(child, dataDir, isOwnDir, host = '127.0.0.1') {
    this.child = child;
    this.host = host;
    this.dataDir = dataDir;
    this.isOwnDir = isOwnDir;
    this.output = '';
    this.errors = '';
    this.exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    child.stdout.setEncoding('utf8').on('data', (text) => { this.output += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { this.errors += text; });
  }

  // The whole lines of the log as objects.
  get log() {
    return this.output.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  }

  get address() { return `${this.host}:${this.port}`; }
  get url() { return `http://${this.address}`; }
  get wsUrl() { return `ws://${this.address}`; }
  get httpsUrl() { return `https://${this.host}:${this.tlsPort}`; }

  async waitReady() {
    const until = Date.now() + READY_MS;
    let isOver = null;
    this.exited.then((how) => { isOver = how; });
    for (;;) {
      const found = this.output.match(/is ready: (?:without HTTP|http:\/\/localhost:(\d+)(?: and https:\/\/localhost:(\d+))?),/);
      if (found) {
        this.port = Number(found[1] ?? 0);
        this.tlsPort = Number(found[2] ?? 0);
        return;
      }
      if (isOver || Date.now() > until)
        throw new Error(`the server did not start${isOver ? ` (${isOver.code} ${isOver.signal})` : ' in time'}:\n${this.output}${this.errors}`);
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  }

  // Ends it and tells how: { code, signal, ms }. With keepData the directory stays for another start. An end that is
  // not clean, a sanitizer's report or a line of level error is a failure of the test.
  async stop({ signal = 'SIGTERM', keepData = false, areErrorsExpected = false } = {}) {
    const from = Date.now();
    hold(this.child, true);
    this.child.kill(signal);
    const how = { ...await this.exited, ms: Date.now() - from };
    if (this.isOwnDir && !keepData) rmSync(this.dataDir, { recursive: true, force: true });
    if (signal === 'SIGKILL') return how;
    const wrong = this.log.filter((line) => line.level === 'error').map((line) => line.msg);
    if (how.code !== 0 || /runtime error|Sanitizer/.test(this.errors) || (wrong.length && !areErrorsExpected))
      throw new Error(`the server ended badly (${how.code} ${how.signal}): ${wrong.join('; ')}\n${this.errors}`);
    return how;
  }

  client() { return new Client(this.url); }

  async register(username, { password = `${username}-password`, ...more } = {}) {
    const client = this.client();
    await client.signUp(username, { password, ...more });
    return client;
  }
}

// `wrap` is what runs it: ['prlimit', '--nofile=1024']. PARLANCE_TEST_SHAPE=split makes several processes of a plain one.
export async function startServer(options = {}) {
  const { env = {}, args = ['serve'], dataDir, wrap = [], program = binary, places } = options;
  const isPlain = args.length === 1 && args[0] === 'serve' && !wrap.length && program === binary && !env.PARLANCE_GRPC_ENABLED;
  if (!isSplit || !isPlain) return startProcess(options);
  const dir = dataDir ?? makeDataDir();
  return startDeployment({
    Server, start: startProcess, places, dataDir: dir, isOwnDir: !dataDir, env: { ...storeOf(dir), ...enginesOf(dir), ...env },
  });
}

// `host`: where it is reached, if that is not this machine's loopback.
// What Prometheus reads, of each process of it.
export function metricsOf(server) {
  const processes = server.parts ? [...server.parts.values()].filter((part) => part.port) : [server];
  return Promise.all(processes.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
}

export async function startProcess({ env = {}, args = ['serve'], dataDir, wrap = [], host, program: main = binary } = {}) {
  const dir = dataDir ?? makeDataDir();
  const [program, ...rest] = [...wrap, main, ...args];
  const isOneOfSeveral = notSqlite && args.length > 1; // has services of its own, perhaps from a file: alike in all over one database
  const child = spawn(program, rest, {
    env: environment(dir, { ...(isOneOfSeveral && { JWT_SECRET }), ...env }), stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  const server = new Server(child, dir, !dataDir, host);
  try {
    await server.waitReady();
  } catch (problem) {
    await server.stop({ signal: 'SIGKILL' });
    throw problem;
  }
  return server;
}

/* One line a cookie. Debian 12's Node has no Headers.getSetCookie: there all come as one, joined by commas. */
function setCookieLines(headers) {
  if (headers.getSetCookie) return headers.getSetCookie();
  return (headers.get('set-cookie') ?? '').split(/,\s*(?=[^;,\s]+=)/).filter(Boolean);
}

// Speaks JSON to the API and, like a browser, keeps cookies by name. Every answer is held to the API's document.
export class Client {
  constructor(base, { token } = {}) {
    this.base = base;
    this.token = token;
    this.cookies = new Map();
  }

  async ask(method, target, { body, headers = {}, raw } = {}) {
    const all = { ...headers };
    if (this.token && !('authorization' in all)) all.authorization = `Bearer ${this.token}`;
    if (body !== undefined && !('content-type' in all)) all['content-type'] = 'application/json';
    const response = await fetch(this.base + target, {
      method, headers: all, redirect: 'manual', body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
    const setCookies = setCookieLines(response.headers);
    for (const line of setCookies) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value) this.cookies.set(name, value);
      else this.cookies.delete(name);
    }
    const text = await response.text();
    let parsed;
    try { parsed = JSON.parse(text); } catch { parsed = undefined; }
    const reply = { status: response.status, headers: response.headers, setCookies, text, body: parsed };
    mustBeAsDocumented(method, target, reply);
    return reply;
  }

  get(target, options) { return this.ask('GET', target, options); }
  post(target, body, options) { return this.ask('POST', target, { body: body ?? {}, ...options }); }
  put(target, body, options) { return this.ask('PUT', target, { body, ...options }); }
  delete(target, options) { return this.ask('DELETE', target, options); }

  get cookieHeader() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  take(reply) {
    this.token = reply.access_token;
    this.refreshToken = reply.refresh_token;
    this.csrfToken = reply.csrf_token;
    this.user = reply.user;
    return this;
  }

  async signUp(username, { password, ...more }) {
    const reply = await this.post('/api/v1/auth/register', { username, password, ...more });
    if (reply.status >= 300) throw new Error(`register ${username}: ${reply.status} ${reply.text}`);
    return this.take(reply.body);
  }

  async signIn(login, password) {
    const reply = await this.post('/api/v1/auth/login', { login, password });
    if (reply.status >= 300) throw new Error(`login ${login}: ${reply.status} ${reply.text}`);
    return this.take(reply.body);
  }
}

// Tries until it holds (no exception, not false); the last failure is thrown when the time is up.
export async function eventually(check, { ms = 60_000, every = 25 } = {}) {
  const until = Date.now() + ms;
  for (;;) {
    try {
      const result = await check();
      if (result !== false) return result;
      if (Date.now() > until) throw new Error('it did not happen in time');
    } catch (problem) {
      if (Date.now() > until) throw problem;
    }
    await new Promise((resolve) => { setTimeout(resolve, every); });
  }
}
