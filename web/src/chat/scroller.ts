// Keeps a long list in its place: mounts only the rows around what is seen, measures them, and holds the row one looks at
// where it is while others come, go or grow above it. At the end it stays at the end. The rows must be the children of
// `list`, in flow and without margins; `box` scrolls.
import { Heights, type Sized } from "./heights";

// Mounted beyond either edge; drawn anew when less than the margin is left.
const overscanPx = 900;
const marginPx = 300;
const nearEndPx = 32;
// Further rows are asked for when less than this is left.
const pagePx = 2000;
const firstViewPx = 900;

export interface Row extends Sized {
  // Whether the place can be held by it: rows that may vanish (days, lines) are no hold.
  isHold: boolean;
}

interface Anchor {
  key: string;
  // How far the view's top is below the row's top.
  offsetPx: number;
  index: number;
}

export interface ScrollerOptions {
  redraw: () => void;
  // Little is left in that direction.
  onNear: (where: "older" | "newer") => void;
  onAway: (isAway: boolean) => void;
}

export class Scroller {
  box: HTMLElement | null = null;
  list: HTMLElement | null = null;
  private readonly heights = new Heights();
  private rows: readonly Row[] = [];
  // null: at the end.
  private anchor: Anchor | null = null;
  private isOpenEnd = true;
  private viewPx = firstViewPx;
  private widthPx = 0;
  private setPx = -1;
  private mounted = { from: 0, to: 0 };

  constructor(private readonly options: ScrollerOptions) {}

  get isAtEnd(): boolean {
    return this.anchor === null && this.isOpenEnd;
  }

  // ---- while drawing ----

  // `isOpenEnd`: what comes next comes at this end; else more is to be loaded there.
  setRows(rows: readonly Row[], isOpenEnd: boolean): void {
    this.takeMove();
    this.rows = rows;
    this.isOpenEnd = isOpenEnd;
    this.heights.setRows(rows);
    if (this.anchor && this.heights.indexOf(this.anchor.key) < 0) this.reanchor(this.anchor);
  }

  // Browsers scroll first and tell of it later: what was moved meanwhile must not be taken back.
  private takeMove(): void {
    const { box } = this;
    if (!box || this.setPx < 0) return;
    const topPx = box.scrollTop;
    const isClamped = topPx + box.clientHeight >= box.scrollHeight - 1;
    if (Math.abs(topPx - this.setPx) < 1 || isClamped) return;
    this.setPx = topPx;
    this.hold(topPx);
  }

  // What held the place is gone: hold what stands there now.
  private reanchor(gone: Anchor): void {
    const key = this.holdFrom(Math.min(gone.index, this.rows.length - 1));
    this.anchor = key < 0 ? null : { key: this.rows[key]?.key ?? "", offsetPx: 0, index: key };
  }

  private holdFrom(index: number): number {
    for (let i = Math.max(0, index); i < this.rows.length; i++) if (this.rows[i]?.isHold) return i;
    return -1;
  }

  private wantedPx(): number {
    if (!this.anchor) return Math.max(0, this.heights.total - this.viewPx);
    return this.heights.top(this.heights.indexOf(this.anchor.key)) + this.anchor.offsetPx;
  }

  // The rows to mount now, and how much room the others take before and after them.
  range(): { from: number; to: number; beforePx: number; afterPx: number } {
    const topPx = this.wantedPx();
    this.mounted = this.heights.range(topPx - overscanPx, topPx + this.viewPx + overscanPx);
    const { from, to } = this.mounted;
    return { from, to, beforePx: this.heights.top(from), afterPx: this.heights.total - this.heights.top(to) };
  }

  // ---- after drawing, and when sizes change ----

  settle = (): void => {
    const { box } = this;
    if (!box || !this.list) return;
    this.takeMove();
    if (box.clientWidth !== this.widthPx) {
      this.widthPx = box.clientWidth;
      this.heights.forget();
    }
    this.viewPx = box.clientHeight;
    this.measure();
    const wantedPx = this.anchor ? this.wantedPx() : box.scrollHeight;
    if (Math.abs(box.scrollTop - wantedPx) >= 1) box.scrollTop = wantedPx;
    this.setPx = box.scrollTop;
    if (!this.isCovered(this.setPx, 0)) this.options.redraw();
    this.options.onAway(!this.isAtEnd && this.rows.length > 0);
    this.ask();
  };

  private measure(): void {
    const { from } = this.mounted;
    const children = this.list?.children ?? [];
    for (let i = 0; i < children.length; i++) {
      const row = this.rows[from + i];
      if (row) this.heights.learn(row.key, children[i]?.getBoundingClientRect().height ?? 0);
    }
  }

  private isCovered(topPx: number, sparePx: number): boolean {
    const needed = this.heights.range(topPx - sparePx, topPx + this.viewPx + sparePx);
    return needed.from >= this.mounted.from && needed.to <= this.mounted.to;
  }

  private ask(): void {
    const { box } = this;
    if (!box || !this.rows.length) return;
    if (box.scrollTop < pagePx) this.options.onNear("older");
    if (box.scrollHeight - box.scrollTop - box.clientHeight < pagePx) this.options.onNear("newer");
  }

  // ---- moving ----

  onScroll = (): void => {
    const { box } = this;
    if (!box) return;
    const topPx = box.scrollTop;
    // Our own doing is no news.
    if (Math.abs(topPx - this.setPx) >= 1) {
      this.setPx = topPx;
      const belowPx = box.scrollHeight - topPx - box.clientHeight;
      this.hold(belowPx < nearEndPx && this.isOpenEnd ? null : topPx);
      this.options.onAway(!this.isAtEnd);
    }
    if (!this.isCovered(topPx, marginPx)) this.options.redraw();
    this.ask();
  };

  private hold(topPx: number | null): void {
    const index = topPx === null ? -1 : this.holdFrom(this.heights.at(topPx));
    const key = this.rows[index]?.key;
    this.anchor = topPx === null || key === undefined ? null : { key, index, offsetPx: topPx - this.heights.top(index) };
  }

  toEnd(): void {
    this.anchor = null;
    this.options.redraw();
  }

  // Shows a row with this share of the view above it; false: there is no such row.
  toRow(key: string, share: number): boolean {
    const index = this.heights.indexOf(key);
    if (index < 0) return false;
    this.anchor = { key, index, offsetPx: -share * this.viewPx };
    this.options.redraw();
    return true;
  }

  // Whether a row would be seen with the list at its end.
  isSeenAtEnd(key: string): boolean {
    const index = this.heights.indexOf(key);
    return index >= 0 && this.heights.top(index) >= this.heights.total - this.viewPx;
  }
}
