// A list of rows that are all of one height: only those near the view are mounted, whatever scrolls around it.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const spareRows = 8;
// Short lists are simply drawn.
const fewRows = 40;
const firstRows = 30;

function scrollerOf(el: HTMLElement): HTMLElement {
  let at = el.parentElement;
  while (at && !/auto|scroll/.test(getComputedStyle(at).overflowY)) at = at.parentElement;
  return at ?? document.documentElement;
}

interface Props<T> {
  items: readonly T[];
  guessPx: number;
  row: (item: T) => ComponentChildren;
}

export function FewRows<T>({ items, guessPx, row }: Props<T>) {
  const list = useRef<HTMLUListElement>(null);
  const rowPx = useRef(guessPx);
  const [seen, setSeen] = useState({ from: 0, to: firstRows });
  const isAll = items.length <= fewRows;

  const look = () => {
    const el = list.current;
    if (!el || isAll) return;
    const box = scrollerOf(el);
    rowPx.current = el.firstElementChild?.getBoundingClientRect().height || guessPx;
    const topPx = box.getBoundingClientRect().top - el.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(topPx / rowPx.current) - spareRows);
    const to = Math.ceil((topPx + box.clientHeight) / rowPx.current) + spareRows;
    // Some rows of play, so that not every step draws anew.
    setSeen((was) => (Math.abs(was.from - from) < spareRows / 2 && Math.abs(was.to - to) < spareRows / 2 ? was : { from, to }));
  };
  useLayoutEffect(look, [items.length]);
  useEffect(() => {
    if (!list.current || isAll) return;
    const box = scrollerOf(list.current);
    const watcher = new ResizeObserver(look);
    watcher.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      watcher.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, [isAll]);

  const from = isAll ? 0 : Math.min(seen.from, Math.max(0, items.length - 1));
  const to = isAll ? items.length : Math.min(items.length, seen.to);
  const style = { paddingTop: `${from * rowPx.current}px`, paddingBottom: `${(items.length - to) * rowPx.current}px` };
  return (
    <ul ref={list} style={isAll ? "" : style}>
      {items.slice(from, to).map(row)}
    </ul>
  );
}
