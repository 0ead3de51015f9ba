// Chaos: a deployment in pieces, people who talk and meet, and at random moments something is killed, frozen or cut off the
// network: a process of ours, or an engine. Nothing acknowledged may be lost, doubled or reordered, meetings resume within ten
// seconds, memory returns to where it was. See docs/scaling.md; run.mjs does it, in a sandbox (sandbox.mjs).
//   CHAOS_SECONDS=180 CHAOS_SEED=1 node tests/chaos/chaos.mjs        (make chaos; CHAOS_VERBOSE=1 tells of every participant)
//   CHAOS_HISTORY=FILE ...                                            (what was judged, if there is a breach)
//   CHAOS_BROKER=kafka CHAOS_ETCD=3 ...                               (engines.mjs: over which engines)
// The seed chooses what is done to whom and for how long; when it happens is up to the machine. 77: an engine cannot be had.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inSandbox } from './sandbox.mjs';

const seed = process.env.CHAOS_SEED ?? String(Date.now() % 100_000);
const seconds = process.env.CHAOS_SECONDS ?? '180';
const engines = ['CHAOS_STORE', 'CHAOS_BROKER', 'CHAOS_ETCD'].filter((name) => process.env[name]).map((name) => ` ${name}=${process.env[name]}`).join('');
console.log(`# chaos: seed ${seed}, ${seconds} s (once more: make chaos CHAOS_SEED=${seed} CHAOS_SECONDS=${seconds}${engines})`);
process.env.CHAOS_SEED = seed;
const code = await inSandbox([path.join(path.dirname(fileURLToPath(import.meta.url)), 'run.mjs')]);
console.log(code === 0 ? 'chaos: ok' : code === 77 ? 'chaos: skipped' : `chaos: failed (CHAOS_SEED=${seed}, exit ${code})`);
process.exit(code);
