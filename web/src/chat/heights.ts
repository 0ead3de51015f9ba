// Where the rows of a long list lie: heights that were measured, guesses for the others, and the sums over them. No screen in
// here. Heights are remembered by key, so that rows which come back stand where they stood.
export interface Sized {
  key: string;
  guessPx: number;
}

export class Heights {
  private readonly known = new Map<string, number>();
  private rows: readonly Sized[] = [];
  private index = new Map<string, number>();
  // tops[i] is where row i begins; the last one is the height of all.
  private tops = new Float64Array(1);
  private areTopsStale = false;

  setRows(rows: readonly Sized[]): void {
    if (rows === this.rows) return;
    this.rows = rows;
    this.index = new Map(rows.map((r, i) => [r.key, i]));
    this.areTopsStale = true;
  }

  get count(): number {
    return this.rows.length;
  }

  // True: it differs from what was assumed.
  learn(key: string, px: number): boolean {
    const before = this.known.get(key);
    if (before !== undefined && Math.abs(before - px) < 0.01) return false;
    this.known.set(key, px);
    this.areTopsStale = true;
    return true;
  }

  isKnown(key: string): boolean {
    return this.known.has(key);
  }

  // The width changed: nothing of what was measured holds.
  forget(): void {
    this.known.clear();
    this.areTopsStale = true;
  }

  indexOf(key: string): number {
    return this.index.get(key) ?? -1;
  }

  private sums(): Float64Array {
    if (!this.areTopsStale) return this.tops;
    const tops = new Float64Array(this.rows.length + 1);
    let sum = 0;
    this.rows.forEach((r, i) => {
      tops[i] = sum;
      sum += this.known.get(r.key) ?? r.guessPx;
    });
    tops[this.rows.length] = sum;
    this.tops = tops;
    this.areTopsStale = false;
    return tops;
  }

  top(i: number): number {
    return this.sums()[Math.max(0, Math.min(i, this.rows.length))] ?? 0;
  }

  get total(): number {
    return this.top(this.rows.length);
  }

  // The row that covers this height; the nearest one outside.
  at(px: number): number {
    const tops = this.sums();
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((tops[middle] ?? 0) <= px) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  // The rows to mount so that [fromPx, toPx) is covered; `to` is one behind the last.
  range(fromPx: number, toPx: number): { from: number; to: number } {
    if (!this.rows.length) return { from: 0, to: 0 };
    return { from: this.at(fromPx), to: Math.min(this.rows.length, this.at(Math.max(fromPx, toPx)) + 1) };
  }
}
