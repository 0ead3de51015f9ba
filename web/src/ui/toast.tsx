// Short messages at the edge of the screen, read out by screen readers. `announce` is read out only.
import { signal } from "@preact/signals";
import { CircleAlert, CircleCheck, Info, X } from "lucide-preact";
import { errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { IconButton } from "./controls";

type Kind = "info" | "good" | "bad";
interface Toast {
  id: number;
  kind: Kind;
  text: string;
  action?: { text: string; run: () => void } | undefined;
}

const toasts = signal<Toast[]>([]);
const spoken = signal("");
let nextId = 1;

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((x) => x.id !== id);
}

export function toast(text: string, kind: Kind = "info", action?: Toast["action"]): number {
  const id = nextId++;
  // The same words twice help nobody.
  toasts.value = [...toasts.value.filter((x) => x.text !== text), { id, kind, text, action }].slice(-3);
  setTimeout(() => dismiss(id), kind === "bad" || action ? 10_000 : 5_000);
  return id;
}

export function toastError(error: unknown): void {
  toast(errorText(error), "bad");
}

export function announce(text: string): void {
  spoken.value = spoken.value === text ? text + "\u00a0" : text;
}

const icons = { info: Info, good: CircleCheck, bad: CircleAlert };

export function Toasts() {
  return (
    <>
      <div class="sr-only" role="status" aria-live="polite">
        {spoken.value}
      </div>
      <div class="toasts" role="status" aria-live="polite">
        {toasts.value.map((x) => {
          const Glyph = icons[x.kind];
          return (
            <div key={x.id} class={`toast toast-${x.kind}`}>
              <Glyph size={18} aria-hidden="true" />
              <span class="toast-text">{x.text}</span>
              {x.action && (
                <button
                  type="button"
                  class="toast-action"
                  onClick={() => {
                    x.action?.run();
                    dismiss(x.id);
                  }}
                >
                  {x.action.text}
                </button>
              )}
              <IconButton icon={X} size={16} label={t("dismiss")} onClick={() => dismiss(x.id)} />
            </div>
          );
        })}
      </div>
    </>
  );
}
