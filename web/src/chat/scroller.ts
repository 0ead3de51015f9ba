// Keeps a long list in its place: mounts only the rows around what is seen, measures them, and holds the row one looks at
// where it is while others come, go or grow above it. At the end it stays at the end. The rows must be the children of
// `list`, in flow and without margins; `box` scrolls. Layout is read once after a drawing and never while drawing: a page that
// flies past would be laid out twice a frame. In such haste little beyond the view is drawn; the rest comes when it is over.
import { signal, type ReadonlySignal } from "@preact/signals";
import { Heights, type Sized } from "./heights";

// Mounted beyond either edge; drawn anew when less than the margin is left.
const overscanPx = 900;
const hastyPx = 250;
const marginPx = 300;
const calmAfterMs = 120;
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
  private isHasty = false;
  private calmTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly bare = signal(false);

  constructor(private readonly options: ScrollerOptions) {}

  get isAtEnd(): boolean {
    return this.anchor === null && this.isOpenEnd;
  }

  // Rows that are drawn now need only be read: they go past.
  get isBare(): ReadonlySignal<boolean> {
    return this.bare;
  }

  close(): void {
    clearTimeout(this.calmTimer);
  }

  // ---- while drawing ----

  // `isOpenEnd`: what comes next comes at this end; else more is to be loaded there.
  setRows(rows: readonly Row[], isOpenEnd: boolean): void {
    this.rows = rows;
    this.isOpenEnd = isOpenEnd;
    this.heights.setRows(rows);
    if (this.anchor && this.heights.indexOf(this.anchor.key) < 0) this.reanchor(this.anchor);
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
    const sparePx = this.isHasty ? hastyPx : overscanPx;
    this.mounted = this.heights.range(topPx - sparePx, topPx + this.viewPx + sparePx);
    const { from, to } = this.mounted;
    return { from, to, beforePx: this.heights.top(from), afterPx: this.heights.total - this.heights.top(to) };
  }

  // ---- after drawing, and when sizes change ----

  settle = (): void => {
    const { box } = this;
    if (!box || !this.list) return;
    const topPx = box.scrollTop;
    const heightPx = box.scrollHeight;
    this.viewPx = box.clientHeight;
    const isMoved = this.takeMove(topPx, topPx + this.viewPx >= heightPx - 1);
    if (box.clientWidth !== this.widthPx) {
      this.widthPx = box.clientWidth;
      this.heights.forget();
    }
    this.measure();
    const endPx = Math.max(0, heightPx - this.viewPx);
    this.setPx = this.anchor ? Math.max(0, Math.min(endPx, this.wantedPx())) : endPx;
    if (Math.abs(topPx - this.setPx) >= 1) box.scrollTop = this.setPx;
    else this.setPx = topPx;
    if (!this.isCovered(this.setPx, 0)) {
      if (isMoved) this.hurry();
      this.options.redraw();
    }
    this.options.onAway(!this.isAtEnd && this.rows.length > 0);
    this.ask(this.setPx, heightPx);
  };

  // Browsers scroll first and tell of it later: what was moved meanwhile must not be taken back. Being pushed to the end by a
  // list that grew shorter is no move.
  private takeMove(topPx: number, isClamped: boolean): boolean {
    const movedPx = topPx - this.setPx;
    if (this.setPx < 0 || isClamped || Math.abs(movedPx) < 1) return false;
    this.hold(this.wantedPx() + movedPx);
    return true;
  }

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

  private ask(topPx: number, heightPx: number): void {
    if (!this.rows.length) return;
    if (topPx < pagePx) this.options.onNear("older");
    if (heightPx - topPx - this.viewPx < pagePx) this.options.onNear("newer");
  }

  // ---- moving ----

  onScroll = (): void => {
    const { box } = this;
    if (!box) return;
    const topPx = box.scrollTop;
    const heightPx = box.scrollHeight;
    // Our own doing is no news.
    if (Math.abs(topPx - this.setPx) >= 1) {
      this.setPx = topPx;
      const belowPx = heightPx - topPx - this.viewPx;
      this.hold(belowPx < nearEndPx && this.isOpenEnd ? null : topPx);
      this.options.onAway(!this.isAtEnd);
    }
    const isSeen = this.isCovered(topPx, 0);
    if (!isSeen) this.hurry();
    if (!isSeen || !(this.isHasty || this.isCovered(topPx, marginPx))) this.options.redraw();
    this.ask(topPx, heightPx);
  };

  // What is to be seen is not even drawn: only that is, until the moving is over.
  private hurry(): void {
    this.isHasty = true;
    this.bare.value = true;
    clearTimeout(this.calmTimer);
    this.calmTimer = setTimeout(this.calm, calmAfterMs);
  }

  private calm = (): void => {
    this.isHasty = false;
    this.options.redraw();
    this.calmTimer = setTimeout(() => (this.bare.value = false), 0);
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
