// Finding a place in a conversation by time: messages are numbered in the order of their time, so a few looks in between do.
const looks = 4;

// The first message at or after `ms`, or the last one. `timeOf` tells when a message was sent.
export async function seqAtTime(ms: number, lastSeq: number, timeOf: (seq: number) => Promise<number>): Promise<number> {
  // What is sought lies in [low, high].
  let [low, high] = [1, lastSeq];
  while (low < high) {
    const step = Math.max(1, Math.ceil((high - low) / (looks + 1)));
    const places = Array.from({ length: looks }, (_, i) => low + i * step).filter((seq) => seq < high);
    const times = await Promise.all(places.map(timeOf));
    const after = times.findIndex((at) => at >= ms);
    const [was, all] = [low, places.length];
    if (after >= 0) high = places[after] ?? high;
    const before = (after < 0 ? all : after) - 1;
    if (before >= 0) low = (places[before] ?? was) + 1;
  }
  return low;
}
