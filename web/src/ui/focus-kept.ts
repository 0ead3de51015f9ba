// A row that goes away takes the focus with it, and whoever uses a keyboard or a reader stands at the top of the page. It goes
// to the row that takes the place instead, or the last one, and where no row is left to the heading.
import { useLayoutEffect, useRef } from "preact/hooks";

interface Step {
  parent: Element;
  index: number;
}
export interface Stand {
  el: Element;
  // From the element outwards: it may go with much of what is around it.
  steps: Step[];
  // Which control of its row, from the end: the one that removes stands last.
  fromEnd: number;
}

const controls = "button:not(:disabled), a[href], input:not(:disabled)";
const headings = "h1, h2, h3";

export function standOf(el: Element): Stand {
  const steps: Step[] = [];
  for (let node = el; node.parentElement; node = node.parentElement) steps.push({ parent: node.parentElement, index: [...node.parentElement.children].indexOf(node) });
  const all = [...(el.closest("li")?.querySelectorAll(controls) ?? [])];
  return { el, steps, fromEnd: Math.max(0, all.length - 1 - all.indexOf(el)) };
}

// Who has the focus after it; undefined: nobody.
export function heirOf({ steps, fromEnd }: Stand): HTMLElement | undefined {
  for (const { parent, index } of steps) {
    if (!parent.isConnected) continue;
    const row = /^[uo]l$/.test(parent.localName) ? parent.children[Math.min(index, parent.children.length - 1)] : undefined;
    const all = [...(row?.querySelectorAll<HTMLElement>(controls) ?? [])];
    const heir = all[Math.max(0, all.length - 1 - fromEnd)] ?? parent.querySelector<HTMLElement>(headings);
    if (heir) return heir;
  }
  return undefined;
}

// For the element around the rows; of a component that stays when they go.
export function useFocusKept() {
  const stand = useRef<Stand | null>(null);
  useLayoutEffect(() => {
    const last = stand.current;
    if (!last || last.el.isConnected) return;
    stand.current = null;
    if (document.activeElement && document.activeElement !== document.body) return;
    const heir = heirOf(last);
    if (heir?.matches(headings)) heir.tabIndex = -1;
    heir?.focus();
  });
  return { onFocusIn: (e: FocusEvent) => void (stand.current = e.target instanceof Element ? standOf(e.target) : null) };
}
