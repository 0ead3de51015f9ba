// The place of the pictures: measures itself, asks layout.ts where each goes, and draws them all in one list, so that a
// change of layout moves the elements and never starts a picture anew.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { cornerBox, gridBoxes, pageSize, stagePlan, type Area, type Box } from "./layout";
import type { MeetingSession } from "./session";
import { Tile } from "./tile";
import { stageKey, tileItems, TileOrder, type TileItem } from "./tiles";
import { gridPage, gridPages } from "./view-state";

interface Placed {
  item: TileItem;
  box: Box;
  place: "grid" | "stage" | "strip" | "corner";
}

interface Plan {
  placed: Placed[];
  page: number;
  pages: number;
}

function useArea(): [(element: HTMLDivElement | null) => void, Area] {
  const [area, setArea] = useState<Area>({ w: 0, h: 0 });
  const element = useRef<HTMLDivElement | null>(null);
  useLayoutEffect(() => {
    const measured = element.current;
    if (!measured) return;
    const measure = () => setArea({ w: measured.clientWidth, h: measured.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(measured);
    return () => observer.disconnect();
  }, []);
  return [(e) => (element.current = e), area];
}

function withStage(items: TileItem[], key: string, area: Area, order: TileOrder, session: MeetingSession): Plan {
  const main = items.find((i) => i.key === key) as TileItem;
  const rest = items.filter((i) => i.key !== key);
  const plan = stagePlan(rest.length, area);
  const shown = plan.strip.length;
  const arranged = order.arrange(rest, shown, session);
  const pages = shown ? Math.max(1, Math.ceil(arranged.length / shown)) : 1;
  const page = Math.min(gridPage.value, pages - 1);
  const strip = arranged.slice(page * shown, (page + 1) * shown);
  return {
    placed: [
      { item: main, box: plan.stage, place: "stage" },
      ...strip.map<Placed>((item, i) => ({ item, box: plan.strip[i] as Box, place: "strip" })),
    ],
    page,
    pages,
  };
}

function planOf(session: MeetingSession, area: Area, order: TileOrder): Plan {
  const items = tileItems(session);
  if (!area.w || !items.length) return { placed: [], page: 0, pages: 1 };
  const key = stageKey(session, items);
  if (key && items.length > 1) return withStage(items, key, area, order, session);
  const self = items.find((i) => i.isSelf && i.kind === "camera");
  const others = items.filter((i) => i !== self);
  if (self && others.length === 1 && others[0]) {
    const full = gridBoxes(1, area)[0] as Box;
    return {
      placed: [
        { item: others[0], box: full, place: "grid" },
        { item: self, box: cornerBox(area), place: "corner" },
      ],
      page: 0,
      pages: 1,
    };
  }
  const size = pageSize(area);
  const arranged = order.arrange(items, size, session);
  const pages = Math.ceil(arranged.length / size);
  const page = Math.min(gridPage.value, pages - 1);
  const shown = arranged.slice(page * size, (page + 1) * size);
  const boxes = gridBoxes(shown.length, area);
  return { placed: shown.map((item, i) => ({ item, box: boxes[i] as Box, place: "grid" })), page, pages };
}

export function Stage({ session, children }: { session: MeetingSession; children?: ComponentChildren }) {
  const [setElement, area] = useArea();
  const order = useRef(new TileOrder());
  const { placed, page, pages } = planOf(session, area, order.current);
  useEffect(() => {
    gridPages.value = pages;
    gridPage.value = page;
  }, [page, pages]);
  // One order of elements whatever the layout: a moved <video> would start anew.
  const stable = [...placed].sort((a, b) => (a.item.key < b.item.key ? -1 : 1));
  return (
    <section class="stage" aria-label={t("stage")}>
      <div ref={setElement} class="stage-area" role="list" aria-label={t("stage.people")}>
        {stable.map((p) => (
          <Tile key={p.item.key} session={session} item={p.item} box={p.box} place={p.place} />
        ))}
      </div>
      {children}
    </section>
  );
}
