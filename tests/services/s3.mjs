// An S3 server for tests, built from Go modules (s3/main.go): it checks signatures with Amazon's own signer.
//   server.url       http://KEY:SECRET@127.0.0.1:40123/parlance
//   server.faults({ fail: 2, status: 503 })
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.mjs';
import { Missing, Service, findProgram } from './service.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const BUILD_MS = 300_000; // modules and their compilation, once

function build() {
  const go = findProgram('go', ['/usr/lib/go/bin', '/usr/local/go/bin']);
  const program = path.resolve(process.env.PARLANCE_BUILD ?? path.join(here, '..', '..', 'build'), 's3');
  const done = spawnSync(go, ['build', '-o', program, '.'], {
    cwd: path.join(here, 's3'), encoding: 'utf8', timeout: BUILD_MS, env: { GOTOOLCHAIN: 'local', ...process.env },
  });
  if (done.status !== 0) throw new Missing(`an S3 server cannot be built here: ${(done.stderr || String(done.error)).slice(-300)}`);
  return program;
}

export async function startS3() {
  const program = build();
  const server = new Service('s3', ['nobody']);
  const [port, key] = [await freePort(), randomBytes(8).toString('hex')];
  server.endpoint = `http://127.0.0.1:${port}`;
  Object.assign(server, { stopSignal: 'SIGTERM', accessKey: key, secretKey: server.password, bucket: 'parlance' });
  server.start(program, [`127.0.0.1:${port}`, server.bucket, key, server.password]);
  server.url = `http://${key}:${server.password}@127.0.0.1:${port}/${server.bucket}`;
  server.faults = (body) => fetch(`${server.endpoint}/_faults`, { method: 'POST', body: JSON.stringify(body) });
  for (const until = Date.now() + 20_000; ;) {
    const isThere = await server.faults({}).then(() => true, () => false);
    if (isThere) return server;
    if (server.isOver || Date.now() > until) {
      await server.stop();
      throw new Error(`the server did not start:\n${server.output}`);
    }
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}
