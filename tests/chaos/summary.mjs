// What a run is told by at its end.
const plural = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const megabytes = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

// { kill: 3, ... } of what was done.
export function countKinds(faults) {
  const counts = {};
  for (const { kind } of faults) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

export const kindsText = (faults) => Object.entries(countKinds(faults)).map(([kind, n]) => `${kind} ${n}`).join(', ') || 'none';

export function resumeText(times) {
  if (!times.length) return 'no meeting was silent for more than a second';
  return `${plural(times.length, 'silence')} of more than a second; over after p50 ${seconds(times[Math.floor(times.length / 2)])}, at most ${seconds(times.at(-1))}`;
}

export const memoryText = (name, before, after) => `${name.padEnd(11)} ${megabytes(before.live).padStart(8)} -> ${megabytes(after.live).padStart(8)} live, `
  + `${megabytes(before.anonymous).padStart(8)} -> ${megabytes(after.anonymous).padStart(8)} anonymous${before.pid === after.pid ? '' : ' (a later process of that name)'}`;

export const silenceText = ({ who, from, until, ms, faults, isOpen }) => `${who}: silent for ${seconds(until - from)}, ${seconds(Math.max(ms, 0))} of it with no excuse`
  + `${isOpen ? ', and still' : ''} (${faults.map((f) => `${f.kind} ${f.victim}${f.other ? ` from ${f.other}` : ''}`).join(', ') || 'no fault'})`;
