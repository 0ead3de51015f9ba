// What opens at the right of a conversation: its head and what is in it. Escape closes it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { X } from "lucide-preact";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  // The content scrolls by itself, to the edges.
  isFlush?: boolean;
}

export function SidePanel({ title, onClose, children, isFlush }: Props) {
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    head.current?.focus({ preventScroll: true });
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <aside
      class={`side-panel${isFlush ? " is-flush" : ""}`}
      aria-label={title}
      onKeyDown={(e) => {
        if (e.key !== "Escape" || e.defaultPrevented) return;
        if (e.target instanceof Element && e.target.closest("dialog")) return; // that dialog's own
        e.preventDefault();
        e.stopPropagation();
        onClose();
      }}
    >
      <div class="side-panel-head">
        <h2 ref={head} tabIndex={-1}>
          {title}
        </h2>
        <IconButton icon={X} label={t("close")} onClick={onClose} />
      </div>
      <div class="side-panel-body">{children}</div>
    </aside>
  );
}
