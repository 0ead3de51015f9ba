// A grid of emoji to put into what one writes; the arrows walk through it, Escape closes it.
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n/i18n";

const emojis =
  "😀 😃 😄 😁 😅 😂 🙂 😉 😊 😍 😘 😎 🤔 🤨 😐 🙄 😴 😮 😢 😭 😡 🥳 🤯 🥺 👍 👎 👏 🙌 🙏 💪 👀 👋 🤝 👌 ✌️ 🤞 ❤️ 💔 🔥 ✨ 🎉 🎂 ☕ 🍕 🌞 🌈 ⭐ 🚀 ✅ ❌ ⚠️ ❓ 💡 📌 📎 📅 🐛 🎯".split(" ");
const columns = 8;

export function EmojiPanel({ onPick, onClose }: { onPick: (emoji: string) => void; onClose: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.querySelector("button")?.focus();
  }, []);
  const onKey = (e: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const buttons = [...(box.current?.querySelectorAll("button") ?? [])];
    const step = steps[e.key];
    if (e.key === "Escape") onClose();
    else if (step) buttons[buttons.indexOf(document.activeElement as HTMLButtonElement) + step]?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div ref={box} class="emoji-panel" role="group" aria-label={t("chat.emoji")} onKeyDown={onKey}>
      {emojis.map((emoji, i) => (
        <button key={emoji} type="button" tabIndex={i ? -1 : 0} onClick={() => onPick(emoji)}>
          {emoji}
        </button>
      ))}
    </div>
  );
}
