// The crash harness: people talk while the server is killed (SIGKILL) again and again at moments nobody chose, and what they
// wrote down themselves is judged (history.mjs). CRASHES says how often (make soak: hundreds).
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { judge } from '../history.mjs';
import { run } from '../server.mjs';
import { Storm } from '../storm.mjs';

const CRASHES = Number(process.env.CRASHES ?? 6);

test(`${CRASHES} kills under load`, { timeout: 60_000 + CRASHES * 15_000 }, async () => {
  const storm = await new Storm().begin();
  for (let crash = 0; crash < CRASHES; crash += 1) {
    await storm.round();
    if (crash % 3 === 2) await storm.calm();
  }
  const count = await storm.end();
  await storm.server.stop({ keepData: true });
  assert.deepEqual(judge(storm.history.records), []);
  assert.ok(count > CRASHES * 5, 'there was something to judge');
  const verdict = run(['verify'], { dataDir: storm.dataDir });
  assert.equal(verdict.status, 0, verdict.stderr);
  rmSync(storm.dataDir, { recursive: true, force: true });
  console.log(`# ${count} messages through ${CRASHES} kills, ${storm.history.records.length} records`);
});
