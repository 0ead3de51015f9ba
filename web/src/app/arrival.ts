// A new screen takes the focus, so that keyboards and screen readers go on at its beginning instead of on a page that is
// gone. The first one does not: there the browser starts by itself, before the navigation.
import { useEffect } from "preact/hooks";

let isFirst = true;

// `screen` names what is shown; null: nothing yet.
export function useArrival(screen: string | null): void {
  useEffect(() => {
    if (screen === null) return;
    if (isFirst) {
      isFirst = false;
      return;
    }
    const main = document.querySelector("main");
    if (!main || main.contains(document.activeElement)) return;
    main.tabIndex = -1;
    main.focus({ preventScroll: true });
  }, [screen]);
}
