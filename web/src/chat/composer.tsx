// Where one writes: Enter sends, Shift+Enter begins a line, "@" names people, ArrowUp in an empty field edits what one said last.
// Files are chosen, pasted or dropped; with nothing written one can speak.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { CalendarClock, Mic, SendHorizontal, Smile, X } from "lucide-preact";
import { signedIn } from "../app/api";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { lazy } from "../ui/lazy";
import { toast, toastError } from "../ui/toast";
import { AttachButton } from "./attach-button";
import { sendTray, sendVoice } from "./bundles";
import type { Doing } from "./conversation";
import { EmojiPanel } from "./emoji-panel";
import { mentionable, MentionList, useMentions } from "./mention-list";
import { mentionsIn } from "./mentions";
import { Quote } from "./message-row";
import type { ChatStore } from "./store";
import type { Content } from "./types";
import { UploadList } from "./upload-list";
import { choose, trays, unchoose, uploads } from "./uploads";

const ScheduleDialog = lazy(() => import("./schedule-dialog"));
const Recorder = lazy(() => import("./recorder"));

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
  // Something was said here, by hand.
  onSent?: () => void;
  onEditLast: () => void;
}

// What is written and not sent: of a thread in this browser only, of the conversation on all of one's devices.
function useDraft(store: ChatStore, id: string, threadSeq: number) {
  const key = threadSeq ? `${id}/${threadSeq}` : id;
  return { key, read: () => store.draftOf(key), keep: (text: string) => store.keepDraft(key, text) };
}

// Into the composer's tray, from wherever they come.
export function takeFiles(key: string, files: File[]): void {
  const empty = choose(key, files);
  if (empty.length) toast(t("chat.file.empty", { name: empty[0] ?? "" }), "bad");
}

export function Composer({ store, id, name, threadSeq = 0, doing, onDone, onSent, onEditLast }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const draft = useDraft(store, id, threadSeq);
  const [text, setText] = useState(draft.read);
  const [areEmojisShown, setEmojisShown] = useState(false);
  const [isSpeaking, setSpeaking] = useState(false);
  const isEditing = doing?.type === "edit";
  const [isScheduling, setScheduling] = useState(false);
  const maySchedule = Boolean(signedIn.value) && !isEditing && text.trim() !== "" && !(trays.value.get(draft.key)?.length ?? 0);
  const mayAttach = Boolean(signedIn.value) && !isEditing;
  const tray = (trays.value.get(draft.key) ?? []).flatMap((u) => uploads.value.get(u) ?? []);
  const isEmpty = !text.trim() && !tray.length;
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
  const sent = () => {
    onDone();
    onSent?.();
  };
  const submit = async () => {
    const said = text.trim();
    if (!said && !tray.length) return;
    if (new TextEncoder().encode(said).length > bytesMost) return void toast(t("chat.tooLong"), "bad");
    if (doing?.type === "edit") {
      try {
        if (said && said !== doing.message.content?.text) await store.edit(doing.message, contentOf(said));
        stop();
      } catch (error) {
        toastError(error);
      }
      return;
    }
    const where = { content: contentOf(said), replyToSeq: doing?.message.seq ?? 0, threadSeq };
    if (tray.length) sendTray(store, draft.key, { to: id, ...where });
    else store.send(id, where);
    setText("");
    draft.keep("");
    sent();
    field.current?.focus();
  };
  const remove = (upload: number) => {
    unchoose(draft.key, upload);
    if (tray.length === 1) field.current?.focus(); // the row that had the focus was the last
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

  const onPaste = (e: ClipboardEvent) => {
    const files = [...(e.clipboardData?.files ?? [])];
    // Text that was copied with its picture is text.
    if (!mayAttach || !files.length || e.clipboardData?.types.includes("text/plain")) return;
    e.preventDefault();
    takeFiles(draft.key, files);
  };
  const sendContent = (content: Content) => {
    store.send(id, { content, replyToSeq: doing?.message.seq ?? 0, threadSeq });
    sent();
  };
  const sendLater = (atMs: number) => {
    store.send(id, { content: contentOf(text.trim()), replyToSeq: doing?.message.seq ?? 0, threadSeq, sendAtMs: atMs });
    setText("");
    draft.keep("");
    onDone();
  };
  const sendSpoken = (file: File) => {
    sendVoice(store, file, { to: id, replyToSeq: doing?.message.seq ?? 0, threadSeq });
    sent();
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
      {tray.length > 0 && <UploadList list={tray} onRemove={remove} />}
      {isSpeaking && <Recorder onVoice={sendSpoken} onClose={() => (setSpeaking(false), requestAnimationFrame(() => field.current?.focus()))} />}
      <div class="composer-row" hidden={isSpeaking}>
        {mayAttach && (
          <AttachButton store={store} onFiles={(files) => (takeFiles(draft.key, files), field.current?.focus())} onContent={sendContent} />
        )}
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
          onPaste={onPaste}
        />
        {maySchedule && <IconButton icon={CalendarClock} label={t("chat.scheduleTitle")} onClick={() => setScheduling(true)} />}
        {isEmpty && mayAttach ? (
          <IconButton icon={Mic} label={t("chat.voice.record")} onClick={() => setSpeaking(true)} />
        ) : (
          <IconButton icon={SendHorizontal} class="composer-send" label={t("chat.send")} disabled={isEmpty} onClick={() => void submit()} />
        )}
      </div>
      {isScheduling && <ScheduleDialog onPick={sendLater} onClose={() => setScheduling(false)} />}
    </div>
  );
}
