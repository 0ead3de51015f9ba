// A button with a menu. Where the browser has popovers the menu goes to the top layer, elsewhere it is a fixed box; how
// it opens, closes and moves the focus is the same.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Check } from "lucide-preact";
import type { Eye } from "lucide-preact";

type Icon = typeof Eye;

export interface MenuItem {
  text: string;
  icon?: Icon;
  hint?: string;
  isChecked?: boolean;
  isDanger?: boolean;
  isDisabled?: boolean;
  onPick: () => void;
}
export type MenuEntry = MenuItem | "line" | { title: string };

interface MenuProps {
  label: string;
  entries: () => MenuEntry[];
  children: ComponentChildren;
  class?: string;
  // Anything that is no menu item, shown above them (a volume slider).
  header?: () => ComponentChildren;
}

const gapPx = 6;
const marginPx = 8;

export function putBeside(menu: HTMLElement, button: HTMLElement): void {
  const anchor = button.getBoundingClientRect();
  const view = menu.ownerDocument.documentElement;
  const width = menu.offsetWidth;
  const height = menu.offsetHeight;
  const isBelow = anchor.bottom + gapPx + height <= view.clientHeight - marginPx || anchor.top < height + gapPx + marginPx;
  const top = isBelow ? anchor.bottom + gapPx : anchor.top - gapPx - height;
  const isRight = anchor.left + width > view.clientWidth - marginPx;
  const left = isRight ? anchor.right - width : anchor.left;
  menu.style.top = `${Math.max(marginPx, Math.min(top, view.clientHeight - height - marginPx))}px`;
  menu.style.left = `${Math.max(marginPx, Math.min(left, view.clientWidth - width - marginPx))}px`;
}

export function Menu({ label, entries, children, class: extra, header }: MenuProps) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  return (
    <>
      <button
        ref={button}
        type="button"
        class={extra ?? "icon-btn"}
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        {children}
      </button>
      {isOpen && button.current && (
        <MenuBox
          id={id}
          label={label}
          entries={entries()}
          header={header?.()}
          button={button.current}
          onClose={(isFocusBack) => {
            setOpen(false);
            if (isFocusBack) button.current?.focus();
          }}
        />
      )}
    </>
  );
}

interface BoxProps {
  id: string;
  label: string;
  entries: MenuEntry[];
  header: ComponentChildren;
  button: HTMLButtonElement;
  onClose: (isFocusBack: boolean) => void;
}

function MenuBox({ id, label, entries, header, button, onClose }: BoxProps) {
  const box = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const menu = box.current;
    if (!menu) return;
    if ("showPopover" in menu) {
      menu.popover = "manual";
      menu.showPopover();
    }
    putBeside(menu, button);
    menu.querySelector<HTMLElement>("[role^=menuitem]:not([disabled])")?.focus();
  }, []);

  useEffect(() => {
    const doc = button.ownerDocument;
    const onDown = (e: Event) => {
      const target = e.target as Node;
      if (!box.current?.contains(target) && !button.contains(target)) onClose(false);
    };
    const onMove = () => onClose(false);
    doc.addEventListener("pointerdown", onDown, true);
    doc.defaultView?.addEventListener("resize", onMove);
    return () => {
      doc.removeEventListener("pointerdown", onDown, true);
      doc.defaultView?.removeEventListener("resize", onMove);
    };
  }, []);

  const onKey = (e: KeyboardEvent) => {
    const items = [...(box.current?.querySelectorAll<HTMLElement>("[role^=menuitem]:not([disabled])") ?? [])];
    const at = items.indexOf(button.ownerDocument.activeElement as HTMLElement);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? items.length - 1 : at - 1 + items.length,
      Home: 0,
      End: items.length - 1,
    };
    const next = steps[e.key];
    e.stopPropagation();
    if (e.key === "Escape" || e.key === "Tab") {
      if (e.key === "Escape") e.preventDefault();
      onClose(true);
    } else if (next !== undefined && !(e.target instanceof HTMLInputElement)) {
      e.preventDefault();
      items[next % items.length]?.focus();
    }
  };

  return (
    <div ref={box} id={id} class="menu" onKeyDown={onKey}>
      {header && <div class="menu-header">{header}</div>}
      <div role="menu" aria-label={label}>
        {entries.map((entry, i) =>
          entry === "line" ? (
            <hr key={i} class="menu-line" />
          ) : "title" in entry ? (
            <div key={i} class="menu-title" role="presentation">
              {entry.title}
            </div>
          ) : (
            <Item key={i} item={entry} onClose={onClose} />
          ),
        )}
      </div>
    </div>
  );
}

function Item({ item, onClose }: { item: MenuItem; onClose: (isFocusBack: boolean) => void }) {
  const Glyph = item.icon;
  const isChoice = item.isChecked !== undefined;
  return (
    <button
      type="button"
      role={isChoice ? "menuitemradio" : "menuitem"}
      aria-checked={isChoice ? item.isChecked : undefined}
      class={`menu-item${item.isDanger ? " is-danger" : ""}`}
      disabled={item.isDisabled}
      tabIndex={-1}
      onClick={() => {
        onClose(true);
        item.onPick();
      }}
    >
      {isChoice ? (
        <span class="menu-check">{item.isChecked && <Check size={18} aria-hidden="true" />}</span>
      ) : (
        Glyph && <Glyph size={18} aria-hidden="true" />
      )}
      <span class="menu-text">{item.text}</span>
      {item.hint && <kbd class="menu-hint">{item.hint}</kbd>}
    </button>
  );
}
