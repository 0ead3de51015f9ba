// The scroller before a page of make-believe: it draws what it is told to, has heights of its own, and counts what is asked of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Scroller, type Row } from "../src/chat/scroller";

const viewPx = 600;

class Page {
  rows: Row[] = [];
  isOpenEnd = true;
  isDrawing = false;
  draws = 0;
  layouts = 0;
  range = { from: 0, to: 0, beforePx: 0, afterPx: 0 };
  asked: string[] = [];
  private topPx = 0;
  private isStale = false;
  readonly scroller = new Scroller({ redraw: () => (this.isStale = true), onNear: (where) => this.asked.push(where), onAway: () => undefined });

  constructor(private readonly heightOf: (key: string) => number) {
    const page = this;
    const box = {
      get scrollTop() {
        return page.read(page.topPx);
      },
      set scrollTop(px: number) {
        page.topPx = Math.max(0, Math.min(px, page.heightPx - viewPx));
      },
      get scrollHeight() {
        return page.read(page.heightPx);
      },
      get clientHeight() {
        return page.read(viewPx);
      },
      clientWidth: 500,
    };
    this.scroller.box = box as unknown as HTMLElement;
    const list = {
      get children() {
        return page.mounted.map((r) => ({ getBoundingClientRect: () => ({ height: page.heightOf(r.key) }) }));
      },
    };
    this.scroller.list = list as unknown as HTMLElement;
  }

  private read(px: number): number {
    assert.ok(!this.isDrawing, "layout was read while drawing");
    this.layouts++;
    return px;
  }

  get mounted(): Row[] {
    return this.rows.slice(this.range.from, this.range.to);
  }

  get heightPx(): number {
    return this.range.beforePx + this.mounted.reduce((sum, r) => sum + this.heightOf(r.key), 0) + this.range.afterPx;
  }

  draw(rows = this.rows): void {
    this.rows = rows;
    this.isStale = true;
    for (let turns = 0; this.isStale; turns++) {
      assert.ok(turns < 10, "it draws for ever");
      this.isStale = false;
      this.draws++;
      this.isDrawing = true;
      this.scroller.setRows(this.rows, this.isOpenEnd);
      this.range = this.scroller.range();
      this.isDrawing = false;
      this.topPx = Math.max(0, Math.min(this.topPx, this.heightPx - viewPx)); // as browsers do
      this.scroller.settle();
    }
  }

  // As a hand does; `isTold`: the browser has said so already.
  scrollBy(px: number, isTold = true): void {
    this.topPx = Math.max(0, Math.min(this.topPx + px, this.heightPx - viewPx));
    if (!isTold) return;
    this.scroller.onScroll();
    if (this.isStale) this.draw();
  }

  // Where a row is seen, from the top of the view; null: it is not mounted.
  seenAt(key: string): number | null {
    let y = this.range.beforePx - this.topPx;
    for (const r of this.mounted) {
      if (r.key === key) return y;
      y += this.heightOf(r.key);
    }
    return null;
  }

  // What is seen at all.
  gapPx(): number {
    const from = this.range.beforePx - this.topPx;
    const to = this.heightPx - this.range.afterPx - this.topPx;
    return Math.max(0, from) + Math.max(0, viewPx - to);
  }
}

const row = (n: number): Row => ({ key: `k${n}`, guessPx: 50, isHold: true });
const rows = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => row(from + i));
const uneven = (key: string) => 30 + ((Number(key.slice(1)) * 37) % 90);

test("scroller: it opens at the end and stays there while more comes", () => {
  const page = new Page(uneven);
  page.draw(rows(1000, 1100));
  assert.equal(page.seenAt("k1100"), viewPx - uneven("k1100"));
  page.draw(rows(1000, 1105));
  assert.equal(page.seenAt("k1105"), viewPx - uneven("k1105"));
  assert.ok(page.scroller.isAtEnd);
});

test("scroller: pages that come above move nothing, however wrong their heights were guessed", () => {
  const page = new Page(uneven);
  page.draw(rows(1000, 1100));
  for (let i = 0; i < 12; i++) page.scrollBy(-150);
  const [key] = page.mounted.map((r) => r.key).filter((k) => (page.seenAt(k) ?? -1) >= 0);
  const at = page.seenAt(key ?? "");
  page.draw(rows(940, 1100));
  assert.equal(page.seenAt(key ?? ""), at);
  page.draw(rows(880, 1100));
  assert.equal(page.seenAt(key ?? ""), at);
  assert.ok(!page.scroller.isAtEnd);
});

test("scroller: every step of a hand moves by just so much", () => {
  const page = new Page(uneven);
  page.draw(rows(1, 1000));
  for (let i = 0; i < 200; i++) {
    const key = page.mounted.map((r) => r.key).find((k) => (page.seenAt(k) ?? -1) >= 0) ?? "";
    const before = page.seenAt(key) ?? 0;
    page.scrollBy(-120);
    assert.ok(Math.abs((page.seenAt(key) ?? NaN) - before - 120) < 1.01, `step ${i}: ${before} ${page.seenAt(key)}`);
    assert.equal(page.gapPx(), 0);
  }
});

test("scroller: what was moved and not told yet is not taken back by rows that come meanwhile", () => {
  const page = new Page(uneven);
  page.draw(rows(1000, 1200));
  page.scrollBy(-2500);
  const key = page.mounted.map((r) => r.key).find((k) => (page.seenAt(k) ?? -1) >= 100) ?? "";
  const at = page.seenAt(key) ?? 0;
  page.scrollBy(-40, false);
  page.draw(rows(940, 1200));
  assert.ok(Math.abs((page.seenAt(key) ?? NaN) - at - 40) < 1.01);
});

test("scroller: in haste only what is seen is drawn, the rest when it is over", async () => {
  const page = new Page(() => 50);
  page.draw(rows(1, 5000));
  const rest = page.mounted.length;
  for (let i = 0; i < 20; i++) {
    page.scrollBy(-2000);
    assert.equal(page.gapPx(), 0, "all that is seen is there");
    assert.ok(page.mounted.length <= (viewPx + 2 * 250) / 50 + 2, `${page.mounted.length} rows in haste`);
    assert.ok(page.scroller.isBare.value);
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  page.draw();
  assert.ok(page.mounted.length > rest - 2 && !page.scroller.isBare.value);
  page.scrollBy(-100); // at leisure
  assert.ok(!page.scroller.isBare.value && page.mounted.length > rest - 2);
  page.scroller.close();
});

test("scroller: layout is asked for after a drawing, and then a fixed number of times", () => {
  const page = new Page(uneven);
  page.draw(rows(1, 1000));
  const [draws, layouts] = [page.draws, page.layouts];
  page.scrollBy(-2000);
  const each = (page.layouts - layouts - 3) / (page.draws - draws);
  assert.ok(each <= 4, `${each} reads a drawing`);
});

test("scroller: near an edge further rows are asked for", () => {
  const page = new Page(() => 50);
  page.draw(rows(1, 500));
  page.asked.length = 0;
  page.scrollBy(-10_000);
  assert.equal(page.asked.join(), "");
  page.scrollBy(-13_000);
  assert.match(page.asked.join(), /^older(,older)*$/);
  page.scroller.close();
});
