// What `make chaos` judges by is awake itself: silences are excused by what excuses them and by nothing else, a leak is found,
// and its partitions lose exactly what they say they lose.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Faults, randomOf } from '../chaos/faults.mjs';
import { RESUME_MS, resumeOf } from '../chaos/meetings.mjs';
import { hasGrown, together } from '../chaos/memory.mjs';

const silence = { who: 'a of b', from: 100_000, until: 112_000 };
const msOf = (...faults) => resumeOf(silence, faults).ms;

test('a silence counts from its beginning', () => {
  assert.equal(msOf(), 12_000);
  assert.ok(msOf() > RESUME_MS);
  assert.equal(msOf({ from: 99_800, until: 103_000 }), 12_000); // what is long over does not begin it later
  assert.equal(msOf({ from: 90_000, until: 99_000, isForAll: true }), 12_000); // nor what was over before
  assert.equal(msOf({ from: 113_000, until: 114_000 }), 12_000); // nor what came later
});

test('another fault during it begins it anew, at its beginning', () => {
  assert.equal(msOf({ from: 99_800, until: 103_000 }, { from: 105_000, until: 111_000 }), 7_000);
  assert.equal(msOf({ from: 105_000 }), 7_000);
});

test('a fault that leaves nobody to take over begins it anew at its end', () => {
  assert.equal(msOf({ from: 99_800, until: 108_000, isForAll: true }), 4_000);
  assert.equal(msOf({ from: 99_800, isForAll: true }), 0); // not over
  assert.equal(msOf({ from: 99_800, until: 103_000 }, { from: 101_000, until: 102_000, isForAll: true }), 10_000);
});

test('memory: a leak is found, and what caches gain is none', () => {
  const [mb, before] = [1 << 20, { count: 1, live: 8 << 20, anonymous: 10 << 20 }];
  assert.equal(hasGrown(before, { live: before.live + mb / 2, anonymous: 20 * mb }), false);
  assert.equal(hasGrown(before, { live: before.live + mb, anonymous: 10 * mb }), true);
  assert.equal(hasGrown(before, { live: before.live, anonymous: 40 * mb }), true);
});

test('memory: what moves from one process to another of its kind is no leak', () => {
  const of = (live) => ({ live, anonymous: 1 << 20, classes: [live, 0] });
  const before = together({ 'media-1': of(9e6), 'media-2': of(5e6), accounts: of(1e6) });
  const after = together({ 'media-1': of(5e6), 'media-2': of(9e6), accounts: of(1e6) });
  assert.deepEqual([Object.keys(before), before], [['media', 'accounts'], after]);
  assert.equal(hasGrown(before.media, after.media), false);
  assert.equal(hasGrown(before.media, together({ 'media-1': of(9e6), 'media-2': of(9e6) }).media), true);
});

test('a seed does the same to the same ones', () => {
  const plan = (seed) => {
    const server = { processes: ['accounts', 'messages-1', 'media-1', 'gateway-1'].map((name) => ({ name })) };
    const engines = { names: ['postgres', 'redis', 'etcd-1', 'etcd-2', 'etcd-3'], single: ['postgres', 'redis'] };
    const faults = new Faults({ random: randomOf(seed), server, engines, network: {} });
    return Array.from({ length: 300 }, () => faults.choose());
  };
  assert.deepEqual(plan(7), plan(7));
  assert.notDeepEqual(plan(7), plan(8));
  assert.deepEqual([...new Set(plan(7).map((one) => one.kind))].sort(), ['cut', 'deafen', 'freeze', 'kill', 'mute', 'part']);
  for (const { kind, victim, other, isForAll } of plan(7)) {
    assert.notEqual(victim, other);
    assert.equal(isForAll, kind !== 'part' && ['postgres', 'redis', 'accounts', 'messages-1'].includes(victim));
  }
});

test('partitions lose what they say, heal, and leave nothing behind', { timeout: 120_000 }, async (t) => {
  const probe = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), 'chaos', 'probe.mjs');
  const child = spawn(process.execPath, [probe, 'network_probe.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more) => { text += more; });
  const [code] = await once(child, 'close');
  if (code === 77) { t.skip(text.trim()); return; }
  assert.equal(code, 0, text);
  const all = ['-a', '-b', '-c', 'ab', 'ac', 'ba', 'bc', 'ca', 'cb'];
  const without = (isLost) => all.filter((pair) => !isLost(pair)).join(' ');
  const { dir, ...said } = Object.fromEntries(text.trim().split('\n').map((line) => JSON.parse(line)));
  assert.deepEqual(said, {
    whole: all.join(' '),
    cut: without((pair) => pair.includes('a')),
    mute: without((pair) => pair.startsWith('a')),
    deafen: without((pair) => pair.endsWith('a')),
    part: without((pair) => pair === 'ab' || pair === 'ba'),
    ...Object.fromEntries(['cut', 'mute', 'deafen', 'part'].map((what) => [`${what}, healed`, all.join(' ')])),
  });
  assert.match(dir, /parlance-chaos-/);
  assert.ok(!existsSync(dir), dir);
});
