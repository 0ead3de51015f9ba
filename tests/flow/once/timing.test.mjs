// Whether a name exists must not show in how long a refusal takes. What is compared is the server's own CPU time, as a busy
// machine makes any clock on the wall useless.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ok, refused } from '../check.mjs';
import { startServer } from '../server.mjs';

const TRIES = 7;
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// Nanoseconds that all threads of a process have run.
function cpuNs(pid) {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    try { return sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]); } catch { return sum; }
  }, 0);
}

test('a wrong password and an unknown name cost the same', async () => {
  const server = await startServer({ env: { PARLANCE_AUTH_PASSWORD_PASSES: '2', PARLANCE_AUTH_PASSWORD_MEMORY_BYTES: String(16 << 20) } });
  await server.register('root');
  for (let i = 0; i < 3; i++) await server.register(`known${i}`);
  const took = { known: [], unknown: [], health: [] };
  const measure = async (kind, ask) => {
    const from = cpuNs(server.child.pid);
    const reply = await ask();
    took[kind].push((cpuNs(server.child.pid) - from) / 1e6);
    return reply;
  };
  const login = (name) => server.client().post('/api/v1/auth/login', { login: name, password: 'a wrong password' });
  for (let i = 0; i < TRIES; i++) {
    const known = refused(await measure('known', () => login(`known${i % 3}`)), 'unauthenticated');
    const unknown = refused(await measure('unknown', () => login(`unknown${i % 3}`)), 'unauthenticated');
    assert.equal(known.message, unknown.message);
    ok(await measure('health', () => server.client().get('/health')));
  }
  const [known, unknown, health] = ['known', 'unknown', 'health'].map((kind) => median(took[kind]));
  const said = `known ${known.toFixed(1)} ms, unknown ${unknown.toFixed(1)} ms, health ${health.toFixed(1)} ms`;
  assert.ok(known > 5 * health, `the hash is what takes time: ${said}`);
  assert.ok(unknown > known * 0.6 && unknown < known / 0.6, said);
  await server.stop();
});
