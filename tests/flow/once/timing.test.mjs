// Whether a name exists must not show in the time that a refusal takes. Medians of interleaved tries, so that a busy machine
// troubles both alike.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ok, refused } from '../check.mjs';
import { startServer } from '../server.mjs';

const TRIES = 7;
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

test('a wrong password and an unknown name take the same time', async () => {
  const server = await startServer({ env: { PARLANCE_AUTH_PASSWORD_PASSES: '2', PARLANCE_AUTH_PASSWORD_MEMORY_BYTES: String(16 << 20) } });
  await server.register('root');
  for (let i = 0; i < 3; i++) await server.register(`known${i}`);
  const took = { known: [], unknown: [], health: [] };
  const time = async (kind, ask) => {
    const from = process.hrtime.bigint();
    const reply = await ask();
    took[kind].push(Number(process.hrtime.bigint() - from) / 1e6);
    return reply;
  };
  const login = (name) => server.client().post('/api/v1/auth/login', { login: name, password: 'a wrong password' });
  for (let i = 0; i < TRIES; i++) {
    const known = refused(await time('known', () => login(`known${i % 3}`)), 'unauthenticated');
    const unknown = refused(await time('unknown', () => login(`unknown${i % 3}`)), 'unauthenticated');
    assert.equal(known.message, unknown.message);
    ok(await time('health', () => server.client().get('/health')));
  }
  const [known, unknown, health] = ['known', 'unknown', 'health'].map((kind) => median(took[kind]));
  const said = `known ${known.toFixed(1)} ms, unknown ${unknown.toFixed(1)} ms, health ${health.toFixed(1)} ms`;
  assert.ok(known > 3 * health, `the hash is what takes time: ${said}`);
  assert.ok(unknown > known * 0.6 && unknown < known / 0.6, said);
  await server.stop();
});
