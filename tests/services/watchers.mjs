// Who watches a server, for tests: Jaeger (built from its Go modules), Debian's Prometheus and Alertmanager, and a
// receiver that takes what Loki would. Each on free ports of 127.0.0.1, stopped by its process id.
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { freePort } from './ports.mjs';
import { Missing, Service, findProgram } from './service.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const build = process.env.PARLANCE_BUILD ?? path.join(here, '..', '..', 'build');
const BUILD_MS = 600_000; // Jaeger's modules and their compilation, once

async function answers(url) {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}

async function untilAnswers(server, url) {
  for (const until = Date.now() + 30_000; !(await answers(url));) {
    if (server.isOver || Date.now() > until) {
      await server.stop();
      throw new Error(`the server did not start:\n${server.output}`);
    }
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// Without a network, or with a proxy that lacks the modules, there is none.
function buildJaeger() {
  const go = findProgram('go', ['/usr/lib/go/bin', '/usr/local/go/bin']);
  const program = path.resolve(build, 'jaeger');
  const done = spawnSync(go, ['build', '-o', program, '.'], {
    cwd: path.join(here, 'jaeger'), encoding: 'utf8', timeout: BUILD_MS, env: { GOTOOLCHAIN: 'local', ...process.env },
  });
  if (done.status !== 0) throw new Missing(`Jaeger cannot be built here: ${(done.stderr || String(done.error)).slice(-300)}`);
  return program;
}

// server.url takes spans; server.trace(id) is what Jaeger knows of a trace, null for nothing.
export async function startJaeger() {
  const program = buildJaeger();
  const server = new Service('jaeger', ['nobody']);
  const [otlp, query] = [await freePort(), await freePort()];
  server.stopSignal = 'SIGTERM';
  server.start(program, [`127.0.0.1:${otlp}`, `127.0.0.1:${query}`]);
  server.url = `http://127.0.0.1:${otlp}`;
  server.api = `http://127.0.0.1:${query}`;
  await untilAnswers(server, `${server.api}/api/services`);
  server.trace = async (id) => {
    const reply = await (await fetch(`${server.api}/api/traces/${id}`)).json();
    return reply.data?.[0] ?? null;
  };
  server.services = async () => (await (await fetch(`${server.api}/api/services`)).json()).data ?? [];
  return server;
}

// `config` is a prometheus.yml as text; files beside it: { name: text }.
export async function startPrometheus(config, files = {}) {
  const program = findProgram('prometheus', ['/usr/bin']);
  const server = new Service('prometheus', ['prometheus', 'nobody']);
  const port = await freePort();
  for (const [name, text] of Object.entries({ 'prometheus.yml': config, ...files })) {
    mkdirSync(path.dirname(path.join(server.dir, name)), { recursive: true });
    writeFileSync(path.join(server.dir, name), text);
  }
  chmodSync(server.dir, 0o777);
  server.stopSignal = 'SIGTERM';
  server.start(program, [`--config.file=${path.join(server.dir, 'prometheus.yml')}`, `--web.listen-address=127.0.0.1:${port}`,
    `--storage.tsdb.path=${path.join(server.dir, 'tsdb')}`, '--log.level=warn']);
  server.url = `http://127.0.0.1:${port}`;
  await untilAnswers(server, `${server.url}/-/ready`);
  server.query = async (text) => {
    const reply = await (await fetch(`${server.url}/api/v1/query?query=${encodeURIComponent(text)}`)).json();
    if (reply.status !== 'success') throw new Error(`${text}: ${reply.error}`);
    return reply.data.result;
  };
  return server;
}

// Takes what is pushed and keeps it: receiver.streams is a list of { labels, lines }.
export async function startLoki() {
  const receiver = { streams: [], requests: 0, answer: 204 };
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      receiver.requests += 1;
      const isTaken = request.method === 'POST' && request.url === '/loki/api/v1/push'
        && request.headers['content-type'] === 'application/json' && receiver.answer === 204;
      if (isTaken) {
        const body = Buffer.concat(parts);
        const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
        for (const { stream, values } of JSON.parse(text).streams)
          receiver.streams.push({ labels: stream, lines: values.map(([ns, line]) => ({ ns: BigInt(ns), line })) });
      }
      response.writeHead(isTaken ? 204 : receiver.answer === 204 ? 400 : receiver.answer).end();
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  receiver.url = `http://127.0.0.1:${server.address().port}`;
  receiver.stop = () => new Promise((resolve) => { server.closeAllConnections?.(); server.close(resolve); });
  return receiver;
}
