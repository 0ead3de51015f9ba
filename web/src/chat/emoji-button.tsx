// A button with the emoji over it, in the top layer where the browser has one.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { putBeside } from "../ui/menu";
import { EmojiPanel } from "./emoji-panel";

interface Props {
  label: string;
  children: ComponentChildren;
  onPick: (emoji: string) => void;
}

export function EmojiButton({ label, children, onPick }: Props) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = (isFocusBack: boolean) => {
    setOpen(false);
    if (isFocusBack) button.current?.focus();
  };
  return (
    <>
      <button ref={button} type="button" class="icon-btn" aria-label={label} title={label} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {children}
      </button>
      {isOpen && button.current && (
        <Popover button={button.current} onClose={close}>
          <EmojiPanel onPick={(e) => (close(true), onPick(e))} onClose={() => close(true)} />
        </Popover>
      )}
    </>
  );
}

interface PopoverProps {
  button: HTMLElement;
  children: ComponentChildren;
  onClose: (isFocusBack: boolean) => void;
}

function Popover({ button, children, onClose }: PopoverProps) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    if ("showPopover" in el) {
      el.popover = "manual";
      el.showPopover();
    }
    putBeside(el, button);
    const onDown = (e: Event) => {
      const target = e.target as Node;
      if (!el.contains(target) && !button.contains(target)) onClose(false);
    };
    const onMove = () => onClose(false);
    document.addEventListener("pointerdown", onDown, true);
    addEventListener("resize", onMove);
    return () => {
      document.removeEventListener("pointerdown", onDown, true);
      removeEventListener("resize", onMove);
    };
  }, []);
  return (
    <div ref={box} class="menu emoji-popover">
      {children}
    </div>
  );
}
