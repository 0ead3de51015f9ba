// A grid of emoji: the ones used last, then by kind. The arrows walk through it, Escape closes it.
import { useEffect, useRef, useState } from "preact/hooks";
import { t, type Key } from "../i18n/i18n";
import { emojisOf, kinds, quick, recent, used } from "./emoji";

const columns = 8;
const faces: Record<string, string> = { recent: "🕒", faces: "😀", people: "👋", nature: "🐻", food: "🍎", activity: "🎉", objects: "💡", signs: "❤️" };

export function EmojiPanel({ onPick, onClose }: { onPick: (emoji: string) => void; onClose: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  const [kind, setKind] = useState("recent");
  const list = kind === "recent" ? [...new Set([...recent(), ...quick, ...emojisOf("faces")])] : emojisOf(kind);
  useEffect(() => {
    box.current?.querySelector<HTMLElement>(".emoji-grid button")?.focus({ preventScroll: true });
  }, []);
  const onKey = (e: KeyboardEvent) => {
    const isInGrid = (e.target as Element).closest(".emoji-grid") !== null;
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: isInGrid ? columns : 0, ArrowUp: isInGrid ? -columns : 0 };
    const buttons = [...(box.current?.querySelectorAll<HTMLElement>(isInGrid ? ".emoji-grid button" : ".emoji-kinds button") ?? [])];
    const step = steps[e.key];
    if (e.key === "Escape") onClose();
    else if (step) buttons[buttons.indexOf(document.activeElement as HTMLElement) + step]?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const pick = (emoji: string) => {
    used(emoji);
    onPick(emoji);
  };
  return (
    <div ref={box} class="emoji-panel" role="group" aria-label={t("chat.emoji")} onKeyDown={onKey}>
      <div class="emoji-kinds" role="group" aria-label={t("chat.emojiKinds")}>
        {["recent", ...kinds].map((k) => (
          <button key={k} type="button" aria-pressed={k === kind} aria-label={t(`chat.emoji_${k}` as Key)} title={t(`chat.emoji_${k}` as Key)} onClick={() => setKind(k)}>
            <span aria-hidden="true">{faces[k]}</span>
          </button>
        ))}
      </div>
      <div class="emoji-grid">
        {list.map((emoji, i) => (
          <button key={emoji} type="button" tabIndex={i ? -1 : 0} onClick={() => pick(emoji)}>
            {emoji}
          </button>
        ))}
      </div>
    </div>
  );
}
