// Where the tiles go. Pure arithmetic over sizes in CSS pixels, so it is tested without a browser.

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Area {
  w: number;
  h: number;
}

export const gapPx = 8;
const widest = 16 / 9;
const narrowest = 3 / 4;
const wideNarrowest = 4 / 3;
// Somebody alone on a phone fills it.
const narrowestAlone = 1 / 2;
const tilesMost = 25;
const tileWidthMin = 150;
const phoneWidth = 600;

export function isNarrow(area: Area): boolean {
  return area.w < phoneWidth;
}

// How many tiles a page of the grid holds here.
export function pageSize(area: Area): number {
  if (isNarrow(area)) {
    const rows = Math.max(1, Math.floor((area.h + gapPx) / (tileWidthMin * 0.75 + gapPx)));
    return Math.min(8, 2 * Math.min(rows, 4));
  }
  const cols = Math.max(1, Math.floor((area.w + gapPx) / (tileWidthMin + gapPx)));
  const rows = Math.max(1, Math.floor((area.h + gapPx) / (tileWidthMin / widest + gapPx)));
  return Math.max(1, Math.min(tilesMost, cols * rows));
}

interface Cells {
  cols: number;
  w: number;
  h: number;
}

function cellsFor(count: number, cols: number, area: Area): Cells {
  const rows = Math.ceil(count / cols);
  const cellW = (area.w - gapPx * (cols - 1)) / cols;
  const cellH = (area.h - gapPx * (rows - 1)) / rows;
  const w = Math.min(cellW, cellH * widest);
  const h = Math.min(cellH, cellW / (count === 1 ? narrowestAlone : narrowest));
  // On wide screens a picture may lose a little of its sides, on phones it fills what there is.
  return isNarrow(area) ? { cols, w, h } : { cols, w, h: Math.min(h, w / wideNarrowest) };
}

// How much of a camera's picture is seen, at the size it has then: what is cut off is worth nothing.
function shownArea({ w, h }: Cells): number {
  const full = Math.min(w, h * widest);
  return full * Math.min(h, full / narrowest);
}

// Even tiles, as large as they can be, the last row centred.
export function gridBoxes(count: number, area: Area): Box[] {
  if (count <= 0 || area.w <= 0 || area.h <= 0) return [];
  const colsMost = isNarrow(area) ? (count <= 2 ? 1 : 2) : count;
  const colsLeast = isNarrow(area) && count > 2 ? 2 : 1;
  let best: Cells | null = null;
  for (let cols = colsLeast; cols <= colsMost; cols++) {
    const cells = cellsFor(count, cols, area);
    if (!best || shownArea(cells) > shownArea(best) + 1) best = cells;
  }
  const { cols, w, h } = best as Cells;
  const rows = Math.ceil(count / cols);
  const top = (area.h - rows * h - (rows - 1) * gapPx) / 2;
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / cols);
    const inRow = row === rows - 1 ? count - row * cols : cols;
    const left = (area.w - inRow * w - (inRow - 1) * gapPx) / 2;
    return { x: left + (i % cols) * (w + gapPx), y: top + row * (h + gapPx), w, h };
  });
}

export interface StagePlan {
  stage: Box;
  strip: Box[];
}

const stripWidthPx = 200;
const stripHeightPx = 96;

// One large picture and as many small ones as fit beside it (below it where the place is narrow or tall).
export function stagePlan(count: number, area: Area): StagePlan {
  if (count <= 0) return { stage: { x: 0, y: 0, w: area.w, h: area.h }, strip: [] };
  if (area.w > area.h * 1.1 && !isNarrow(area)) {
    const w = Math.min(stripWidthPx, area.w / 4);
    const h = w / widest;
    const fits = Math.max(1, Math.floor((area.h + gapPx) / (h + gapPx)));
    const shown = Math.min(count, fits);
    const top = (area.h - shown * h - (shown - 1) * gapPx) / 2;
    const stageW = area.w - w - gapPx;
    // Not higher than a camera's picture can fill without losing its sides.
    const stageH = Math.min(area.h, stageW / wideNarrowest);
    return {
      stage: { x: 0, y: (area.h - stageH) / 2, w: stageW, h: stageH },
      strip: Array.from({ length: shown }, (_, i) => ({ x: area.w - w, y: top + i * (h + gapPx), w, h })),
    };
  }
  const h = Math.min(stripHeightPx, area.h / 4);
  const w = isNarrow(area) ? h : h * (4 / 3);
  const shown = Math.min(count, Math.max(1, Math.floor((area.w + gapPx) / (w + gapPx))));
  const left = (area.w - shown * w - (shown - 1) * gapPx) / 2;
  return {
    stage: { x: 0, y: 0, w: area.w, h: area.h - h - gapPx },
    strip: Array.from({ length: shown }, (_, i) => ({ x: left + i * (w + gapPx), y: area.h - h, w, h })),
  };
}

// The own picture in a corner while one other fills the room.
export function cornerBox(area: Area): Box {
  const w = isNarrow(area) ? Math.min(112, area.w * 0.3) : Math.min(240, area.w * 0.24);
  const h = isNarrow(area) ? w * (4 / 3) : w / widest;
  return { x: area.w - w - 12, y: area.h - h - 12, w, h };
}

// Keeps whoever spoke lately among the first `shown` without moving the others about: each newcomer takes the place of
// the one there who has been silent longest. `fixed` (self, pinned) stays where it is.
export function promoteSpeakers(
  order: string[],
  shown: number,
  spokeAtMs: ReadonlyMap<string, number>,
  fixed: ReadonlySet<string>,
): string[] {
  if (order.length <= shown) return order;
  const next = [...order];
  const at = (id: string) => spokeAtMs.get(id) ?? 0;
  for (let i = shown; i < next.length; i++) {
    const id = next[i] as string;
    if (!at(id)) continue;
    let quietest = -1;
    for (let j = 0; j < shown; j++) {
      const other = next[j] as string;
      if (!fixed.has(other) && (quietest < 0 || at(other) < at(next[quietest] as string))) quietest = j;
    }
    if (quietest < 0 || at(next[quietest] as string) >= at(id)) continue;
    next[i] = next[quietest] as string;
    next[quietest] = id;
  }
  return next;
}

// The simulcast layer that a picture of this size needs: the smallest that is not visibly blurred. `rids` run from low
// to high, each twice as wide as the one before, the best about 720 lines.
export function layerFor(rids: readonly string[], heightPx: number, pixelRatio: number): string {
  if (rids.length < 2) return "";
  const wanted = heightPx * Math.min(pixelRatio, 1.5);
  for (let i = 0; i < rids.length - 1; i++) {
    const lines = 720 / 2 ** (rids.length - 1 - i);
    if (lines >= wanted * 0.85) return rids[i] as string;
  }
  return "";
}
