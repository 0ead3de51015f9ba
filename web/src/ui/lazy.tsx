// A component whose code is fetched when it is first drawn. Until then nothing is there; what cannot be fetched says so.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { toast } from "./toast";

export function lazy<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  let Loaded: ComponentType<P> | null = null;
  return function Lazy(props: P) {
    const [, redraw] = useState(0);
    useEffect(() => {
      if (Loaded) return;
      load().then(
        (module) => {
          Loaded = module.default;
          redraw((n) => n + 1);
        },
        () => toast(t("load.failed"), "bad"),
      );
    }, []);
    return Loaded ? <Loaded {...props} /> : null;
  };
}
