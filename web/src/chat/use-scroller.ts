// The scroller as a hook: draws anew when it wants, settles after every drawing and whenever a size changes.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Scroller, type Row, type ScrollerOptions } from "./scroller";

interface Use<R extends Row> extends Omit<ScrollerOptions, "redraw" | "onAway"> {
  rows: readonly R[];
  isOpenEnd: boolean;
}

export function useScroller<R extends Row>({ rows, isOpenEnd, onNear }: Use<R>) {
  const [, redraw] = useState(0);
  const [isAway, setAway] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const near = useRef(onNear);
  near.current = onNear;
  const [scroller] = useState(
    () => new Scroller({ redraw: () => redraw((n) => n + 1), onAway: setAway, onNear: (where) => near.current(where) }),
  );
  scroller.setRows(rows, isOpenEnd);
  const { from, to, beforePx, afterPx } = scroller.range();

  useLayoutEffect(() => {
    scroller.box = box.current;
    scroller.list = list.current;
    const focused = document.activeElement;
    // A row that had the focus was unmounted: keys go on working from the list.
    if (hadFocus.current && focused === document.body) box.current?.focus({ preventScroll: true });
    scroller.settle();
  });
  const hadFocus = useRef(false);
  hadFocus.current = box.current?.contains(document.activeElement) ?? false;

  useEffect(() => {
    const watcher = new ResizeObserver(scroller.settle);
    if (box.current) watcher.observe(box.current);
    if (list.current) watcher.observe(list.current);
    return () => {
      watcher.disconnect();
      scroller.close();
    };
  }, []);

  return { scroller, box, list, isAway, shown: rows.slice(from, to), beforePx, afterPx };
}
