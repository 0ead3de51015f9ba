// The harness is awake: a server with one bug sown in (tests/seeded) goes through the same storm as the sound one, and the judge
// has to find it, by a rule that speaks of it. What passes here unseen would pass in crash.test.mjs too.
// SEEDED_ROUNDS says how long it is looked for (make soak: longer, and each bug several times over).
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { judge, rulesBroken } from '../history.mjs';
import { binary } from '../server.mjs';
import { Storm } from '../storm.mjs';

const ROUNDS = Number(process.env.SEEDED_ROUNDS ?? 12);
const TIMES = Number(process.env.SEEDED_TIMES ?? 1);
const program = path.join(path.dirname(binary), '..', 'tests', 'seeded', 'parlance_seeded');

// The bug, and one of the rules by which it must be found.
const bugs = {
  acknowledged_before_commit: ['acknowledged once', 'acknowledged is kept', 'one order for all', 'after is after', 'who comes back misses nothing'],
  seq_reused_after_crash: ['acknowledged once', 'acknowledged is kept', 'one order for all', 'no holes'],
  dedup_forgotten: ['acknowledged once', 'nothing twice, nothing invented'],
  recall_is_only_told: ['deleted stays deleted'],
  cursor_off_by_one: ['who comes back misses nothing'],
  changes_off_by_one: ['who comes back misses nothing'],
  fan_out_skips_one: ['who is here hears it'],
  told_after_removal: ['only to members'],
};

// The breaches after each round and each calm, until there is one; and how many rounds it took.
async function look(bug, most = ROUNDS) {
  const storm = await new Storm({ program, env: bug ? { SEEDED_BUG: bug } : {} }).begin();
  let problems = [];
  let rounds = 0;
  try {
    while (!problems.length && rounds < most) {
      rounds += 1;
      await storm.round();
      await storm.calm();
      await storm.end();
      problems = judge(storm.history.records);
    }
  } finally {
    await storm.kill();
    rmSync(storm.dataDir, { recursive: true, force: true });
  }
  return { problems, rounds };
}

for (let time = 1; time <= TIMES; time += 1) {
  for (const [bug, rules] of Object.entries(bugs)) {
    test(`${bug} is found${TIMES > 1 ? `, ${time}` : ''}`, { timeout: 120_000 }, async () => {
      const { problems, rounds } = await look(bug);
      assert.ok(rulesBroken(problems).some((rule) => rules.includes(rule)), `in ${rounds} rounds: ${problems.slice(0, 5).join('; ') || 'nothing'}`);
      console.log(`# ${bug}: after ${rounds} rounds, by ${rulesBroken(problems).join(', ')}`);
    });
  }
}

test('without a bug the same program passes', { timeout: 120_000 }, async () => {
  assert.deepEqual((await look(null, 2)).problems, []);
});
