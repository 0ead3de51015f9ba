// How long to wait before trying again: longer each time, capped, and never the same for all.
export interface Backoff {
  firstMs: number;
  mostMs: number;
}

export function pauseMs(attempt: number, { firstMs, mostMs }: Backoff, random = Math.random()): number {
  const most = Math.min(mostMs, firstMs * 2 ** Math.min(attempt, 10));
  return most / 2 + (most / 2) * random;
}
