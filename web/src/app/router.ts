// Paths as a signal. Links inside the client are followed without loading the page anew.
import { signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}

const placeOf = (at: { pathname: string; search: string }): Place => ({ path: at.pathname, query: new URLSearchParams(at.search) });
const current = (): Place => placeOf(location);

export const place = signal<Place>(current());

// Safari refuses more than 100 new addresses in 30 seconds, which fast typing reaches: then the place alone changes, and the
// next address that is taken says all.
export function go(to: string, isReplacing = false): void {
  try {
    if (isReplacing) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
    place.value = current();
  } catch {
    place.value = placeOf(new URL(to, location.href));
  }
  scrollTo(0, 0);
}

function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  const target = link.pathname === location.pathname ? document.getElementById(link.hash.slice(1)) : null;
  if (link.hash && target) target.scrollIntoView();
  else go(link.pathname + link.search + link.hash);
}

export function startRouter(): void {
  addEventListener("popstate", () => (place.value = current()));
  document.addEventListener("click", onClick);
}

// A path that only this site can mean: what may stand in ?next=.
export function safePath(path: string | null): string {
  return path && /^\/(?![/\\])/.test(path) ? path : "/";
}
