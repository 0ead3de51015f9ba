// A button of the meeting's bar.
import type { ComponentChildren } from "preact";
import type { Mic } from "lucide-preact";
import { prefs } from "../media/prefs";

interface BarButtonProps {
  icon: typeof Mic;
  label: string;
  keyHint?: string;
  class?: string;
  isPressed?: boolean;
  onClick: () => void;
  children?: ComponentChildren;
}

export function BarButton({ icon: Glyph, label, keyHint, class: extra, isPressed, onClick, children }: BarButtonProps) {
  return (
    <button
      type="button"
      class={`bar-btn${extra ? ` ${extra}` : ""}`}
      aria-label={label}
      aria-pressed={isPressed}
      aria-keyshortcuts={prefs.value.areKeysOn ? keyHint : undefined}
      data-tip={keyHint ? `${label} (${keyHint.toUpperCase()})` : label}
      onClick={onClick}
    >
      <Glyph size={22} aria-hidden="true" />
      {children}
    </button>
  );
}
