// Reactions: the picker in the bar, and what flies over the stage.
import drawings from "emoji:reactions";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Smile } from "lucide-preact";
import { t } from "../i18n/i18n";
import type { MeetingSession } from "./session";

const urls = new Map(
  drawings.map(([text, body]) => [
    text,
    `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${body}</svg>`)}`,
  ]),
);

const names = {
  "👍": "reaction.thumbsUp",
  "👏": "reaction.clap",
  "❤️": "reaction.heart",
  "😂": "reaction.laugh",
  "😮": "reaction.wow",
  "🎉": "reaction.party",
  "🤔": "reaction.think",
  "👎": "reaction.thumbsDown",
} as const;

function nameOf(emoji: string): string {
  return emoji in names ? t(names[emoji as keyof typeof names]) : emoji;
}

// The drawing of a reaction; one that this client does not know is shown as text.
export function Emoji({ text, size }: { text: string; size: number }) {
  const url = urls.get(text);
  return url ? <img src={url} width={size} height={size} alt={nameOf(text)} /> : <span class="emoji-text">{text}</span>;
}

export function ReactionPicker({ session, icon: Glyph }: { session: MeetingSession; icon: typeof Smile }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!isOpen) return;
    box.current?.querySelector("button")?.focus();
    const onDown = (e: Event) => {
      const target = e.target as Node;
      if (!box.current?.contains(target) && !button.current?.contains(target)) setOpen(false);
    };
    document.addEventListener("pointerdown", onDown, true);
    return () => document.removeEventListener("pointerdown", onDown, true);
  }, [isOpen]);

  const onKey = (e: KeyboardEvent) => {
    const buttons = [...(box.current?.querySelectorAll("button") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? buttons.length - 1 : 0;
    if (step) buttons[(at + step) % buttons.length]?.focus();
    if (e.key === "Escape") {
      setOpen(false);
      button.current?.focus();
    }
    e.stopPropagation();
  };
  return (
    <div class="reaction-picker">
      <button
        ref={button}
        type="button"
        class="bar-btn"
        aria-label={t("reaction.button")}
        data-tip={t("reaction.button")}
        aria-haspopup="true"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <Glyph size={22} aria-hidden="true" />
      </button>
      {isOpen && (
        <div ref={box} class="reaction-row" role="group" aria-label={t("reaction.button")} onKeyDown={onKey}>
          {drawings.map(([text]) => (
            <button key={text} type="button" class="reaction-btn" title={nameOf(text)} onClick={() => void session.react(text)}>
              <Emoji text={text} size={28} />
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

export function FlyingReactions({ session }: { session: MeetingSession }) {
  const { room } = session;
  return (
    <div class="flying" aria-hidden="true">
      {room.reactions.value.map((r) => (
        <div key={r.id} class="flyer" style={{ left: `${(r.id * 37) % 60}%` }}>
          <Emoji text={r.emoji} size={40} />
          <span>{r.participantId === room.selfId.value ? t("youShort") : room.nameOf(r.participantId)}</span>
        </div>
      ))}
    </div>
  );
}
