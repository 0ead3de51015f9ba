// Where one writes: Enter sends, Shift+Enter begins a line, ArrowUp in an empty field edits what one said last.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { SendHorizontal, Smile, X } from "lucide-preact";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { toast, toastError } from "../ui/toast";
import type { Doing } from "./conversation";
import { EmojiPanel } from "./emoji-panel";
import { Quote } from "./message-row";
import type { ChatStore } from "./store";

const bytesMost = 16_384;
const heightMostPx = 200;

interface Props {
  store: ChatStore;
  id: string;
  name: string;
  doing: Doing | null;
  onDone: () => void;
  onEditLast: () => void;
}

export function Composer({ store, id, name, doing, onDone, onEditLast }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(() => store.draftOf(id));
  const [areEmojisShown, setEmojisShown] = useState(false);
  const isEditing = doing?.type === "edit";

  // Before the next key is taken.
  useLayoutEffect(() => {
    if (doing?.type === "edit") setText(doing.message.content?.text ?? "");
    if (doing) field.current?.focus();
  }, [doing]);

  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus({ preventScroll: true });
  }, []);

  useLayoutEffect(() => {
    const el = field.current;
    if (!el) return;
    el.style.height = "auto";
    el.style.height = `${Math.min(heightMostPx, el.scrollHeight + 2)}px`;
  }, [text]);

  const change = (next: string) => {
    setText(next);
    if (isEditing) return;
    store.keepDraft(id, next);
    if (next && !id.startsWith("u:")) store.tellTyping(id);
  };
  const stop = () => {
    if (isEditing) setText(store.draftOf(id));
    onDone();
    field.current?.focus();
  };
  const submit = async () => {
    const said = text.trim();
    if (!said) return;
    if (new TextEncoder().encode(said).length > bytesMost) return void toast(t("chat.tooLong"), "bad");
    if (doing?.type === "edit") {
      try {
        if (said !== doing.message.content?.text) await store.edit(doing.message, { kind: "text", text: said });
        stop();
      } catch (error) {
        toastError(error);
      }
      return;
    }
    store.send(id, { content: { kind: "text", text: said }, replyToSeq: doing?.message.seq ?? 0 });
    setText("");
    store.keepDraft(id, "");
    onDone();
    field.current?.focus();
  };
  const insert = (emoji: string) => {
    const el = field.current;
    const [from, to] = [el?.selectionStart ?? text.length, el?.selectionEnd ?? text.length];
    change(text.slice(0, from) + emoji + text.slice(to));
    setEmojisShown(false);
    requestAnimationFrame(() => {
      el?.focus();
      el?.setSelectionRange(from + emoji.length, from + emoji.length);
    });
  };
  const onKey = (e: KeyboardEvent) => {
    // While an input method is at work, Enter is its.
    if (e.isComposing || e.keyCode === 229) return;
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      void submit();
    } else if (e.key === "ArrowUp" && !text && !doing) {
      e.preventDefault();
      onEditLast();
    } else if (e.key === "Escape" && doing) {
      e.preventDefault();
      stop();
    }
  };

  return (
    <div class="composer">
      {doing && (
        <div class="composer-doing">
          <div class="grow">
            <span class="meta strong">{t(isEditing ? "chat.editing" : "chat.replying")}</span>
            {!isEditing && <Quote message={doing.message} />}
          </div>
          <IconButton icon={X} size={18} label={t("cancel")} onClick={stop} />
        </div>
      )}
      {areEmojisShown && <EmojiPanel onPick={insert} onClose={() => (setEmojisShown(false), field.current?.focus())} />}
      <div class="composer-row">
        <IconButton icon={Smile} label={t("chat.emoji")} aria-expanded={areEmojisShown} onClick={() => setEmojisShown(!areEmojisShown)} />
        <textarea
          ref={field}
          class="input"
          rows={1}
          aria-label={t("chat.writeTo", { name })}
          placeholder={t("chat.writeTo", { name })}
          value={text}
          onInput={(e) => change(e.currentTarget.value)}
          onKeyDown={onKey}
        />
        <IconButton icon={SendHorizontal} class="composer-send" label={t("chat.send")} disabled={!text.trim()} onClick={() => void submit()} />
      </div>
    </div>
  );
}
