// Where one writes: Enter sends, Shift+Enter begins a line, "@" names people, ArrowUp in an empty field edits what one said last.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { SendHorizontal, Smile, X } from "lucide-preact";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { toast, toastError } from "../ui/toast";
import type { Doing } from "./conversation";
import { EmojiPanel } from "./emoji-panel";
import { mentionable, MentionList, useMentions } from "./mention-list";
import { mentionsIn } from "./mentions";
import { Quote } from "./message-row";
import type { ChatStore } from "./store";
import type { Content } from "./types";

const bytesMost = 16_384;
const heightMostPx = 200;

interface Props {
  store: ChatStore;
  id: string;
  name: string;
  // The composer of a thread.
  threadSeq?: number;
  doing: Doing | null;
  onDone: () => void;
  onEditLast: () => void;
}

// What is written and not sent: of a thread on this page only, of the conversation on all of one's devices.
function useDraft(store: ChatStore, id: string, threadSeq: number) {
  const key = threadSeq ? `${id}/${threadSeq}` : id;
  const read = () => (threadSeq ? (store.drafts.get(key) ?? "") : store.draftOf(id));
  const keep = (text: string) => void (threadSeq ? store.drafts.set(key, text) : store.keepDraft(id, text));
  return { read, keep };
}

export function Composer({ store, id, name, threadSeq = 0, doing, onDone, onEditLast }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const draft = useDraft(store, id, threadSeq);
  const [text, setText] = useState(draft.read);
  const [areEmojisShown, setEmojisShown] = useState(false);
  const isEditing = doing?.type === "edit";
  const people = mentionable(store, id);

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
    draft.keep(next);
    if (next && !id.startsWith("u:")) store.tellTyping(id);
  };
  const replace = (from: number, to: number, by: string) => {
    const el = field.current;
    change(text.slice(0, from) + by + text.slice(to));
    requestAnimationFrame(() => {
      el?.focus();
      el?.setSelectionRange(from + by.length, from + by.length);
    });
  };
  const mentioning = useMentions(people, (from, to, who) => replace(from, to, `@${who} `));
  const stop = () => {
    if (isEditing) setText(draft.read());
    onDone();
    field.current?.focus();
  };
  const contentOf = (said: string): Content => {
    const { mentions, is_mentioning_all } = mentionsIn(said, people);
    return { kind: "text", text: said, ...(mentions.length && { mentions }), ...(is_mentioning_all && { is_mentioning_all }) };
  };
  const submit = async () => {
    const said = text.trim();
    if (!said) return;
    if (new TextEncoder().encode(said).length > bytesMost) return void toast(t("chat.tooLong"), "bad");
    if (doing?.type === "edit") {
      try {
        if (said !== doing.message.content?.text) await store.edit(doing.message, contentOf(said));
        stop();
      } catch (error) {
        toastError(error);
      }
      return;
    }
    store.send(id, { content: contentOf(said), replyToSeq: doing?.message.seq ?? 0, threadSeq });
    setText("");
    draft.keep("");
    onDone();
    field.current?.focus();
  };
  const insert = (emoji: string) => {
    const el = field.current;
    setEmojisShown(false);
    replace(el?.selectionStart ?? text.length, el?.selectionEnd ?? text.length, emoji);
  };
  const onKey = (e: KeyboardEvent) => {
    // While an input method is at work, Enter is its.
    if (e.isComposing || e.keyCode === 229 || mentioning.onKey(e)) return;
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
            {!isEditing && <Quote message={doing.message} me={store.me} />}
          </div>
          <IconButton icon={X} size={18} label={t("cancel")} onClick={stop} />
        </div>
      )}
      {areEmojisShown && <EmojiPanel onPick={insert} onClose={() => (setEmojisShown(false), field.current?.focus())} />}
      <MentionList mentioning={mentioning} />
      <div class="composer-row">
        <IconButton icon={Smile} label={t("chat.emoji")} aria-expanded={areEmojisShown} onClick={() => setEmojisShown(!areEmojisShown)} />
        <textarea
          ref={field}
          class="input"
          rows={1}
          aria-label={t("chat.writeTo", { name })}
          aria-autocomplete={people.length ? "list" : undefined}
          {...mentioning.aria}
          placeholder={t("chat.writeTo", { name })}
          value={text}
          onInput={(e) => (change(e.currentTarget.value), mentioning.look(e.currentTarget))}
          onClick={(e) => mentioning.look(e.currentTarget)}
          onBlur={mentioning.close}
          onKeyDown={onKey}
        />
        <IconButton icon={SendHorizontal} class="composer-send" label={t("chat.send")} disabled={!text.trim()} onClick={() => void submit()} />
      </div>
    </div>
  );
}
