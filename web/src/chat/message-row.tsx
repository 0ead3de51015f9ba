// A message: who, when, what; what was done to it; and what one can do with it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Check, CheckCheck, CircleAlert, Clock, Copy, Ellipsis, Paperclip, Pencil, Reply, RotateCw, SmilePlus, Trash2, Undo2 } from "lucide-preact";
import { copyText } from "../app/clipboard";
import { dateTimeText, timeText } from "../app/dates";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { IconButton } from "../ui/controls";
import { Confirm } from "../ui/dialog";
import { Menu, type MenuEntry } from "../ui/menu";
import { toastError } from "../ui/toast";
import type { Doing } from "./conversation";
import { tickOf } from "./log";
import { parseMarkup, type Span } from "./markup";
import type { Outgoing } from "./outbox";
import { nameOf, personOf } from "./people";
import type { ChatStore } from "./store";
import { lineOf } from "./texts";
import type { Member, Message } from "./types";

const quickEmoji = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];

function Spans({ spans }: { spans: Span[] }): ComponentChildren {
  return spans.map((s, i) => {
    switch (s.type) {
      case "text":
        return s.text;
      case "code":
        return <code key={i}>{s.text}</code>;
      case "block":
        return (
          <pre key={i} tabIndex={0}>
            <code>{s.text}</code>
          </pre>
        );
      case "link":
        return (
          <a key={i} href={s.href} target="_blank" rel="noopener noreferrer nofollow">
            {s.href}
          </a>
        );
      default: {
        const Tag = s.type;
        return (
          <Tag key={i}>
            <Spans spans={s.spans} />
          </Tag>
        );
      }
    }
  });
}

function Ticks({ seq, members, me }: { seq: number; members: Member[]; me: string }) {
  const tick = tickOf(seq, members, me);
  const Glyph = tick === "sent" ? Check : CheckCheck;
  const text = tick === "read" ? t("chat.read") : tick === "delivered" ? t("chat.delivered") : t("chat.sent");
  return (
    <span class={`tick is-${tick}`} role="img" aria-label={text} title={text}>
      <Glyph size={16} aria-hidden="true" />
    </span>
  );
}

function Reactions({ store, message }: { store: ChatStore; message: Message }) {
  if (!message.reactions?.length) return null;
  return (
    <div class="msg-reactions">
      {message.reactions.map((r) => (
        <button
          key={r.emoji}
          type="button"
          class="msg-reaction"
          aria-pressed={r.is_mine}
          aria-label={t("chat.reactionCount", { emoji: r.emoji, count: r.count })}
          title={(r.user_ids ?? []).map(nameOf).join(", ")}
          onClick={() => void store.react(message, r.emoji).catch(toastError)}
        >
          <span>{r.emoji}</span> <span class="tabular">{r.count}</span>
        </button>
      ))}
    </div>
  );
}

function Actions({ store, message, onDo, onRecall }: { store: ChatStore; message: Message; onDo: (d: Doing) => void; onRecall: () => void }) {
  const isMine = message.sender_id === store.me;
  const role = store.conversations.value.get(message.conversation_id)?.own?.role ?? "member";
  const react = (): MenuEntry[] =>
    quickEmoji.map((emoji) => ({ text: emoji, onPick: () => void store.react(message, emoji).catch(toastError) }));
  const more = (): MenuEntry[] => [
    { text: t("chat.reply"), icon: Reply, onPick: () => onDo({ type: "reply", message }) },
    { text: t("copy"), icon: Copy, onPick: () => void copyText(message.content?.text ?? "", t("chat.copied")) },
    ...(isMine && message.content?.kind === "text"
      ? [{ text: t("chat.edit"), icon: Pencil, onPick: () => onDo({ type: "edit", message }) }]
      : []),
    ...(isMine || role !== "member" ? ["line" as const, { text: t("chat.recall"), icon: Undo2, isDanger: true, onPick: onRecall }] : []),
  ];
  return (
    <div class="msg-actions">
      <Menu label={t("chat.react")} entries={react}>
        <SmilePlus size={18} aria-hidden="true" />
      </Menu>
      <Menu label={t("chat.actions")} entries={more}>
        <Ellipsis size={18} aria-hidden="true" />
      </Menu>
    </div>
  );
}

interface RowProps {
  store: ChatStore;
  message: Message;
  isFirst: boolean;
  isSought: boolean;
  members: Member[];
  quoted: Message | undefined;
  onDo: (doing: Doing) => void;
}

export function MessageRow({ store, message: m, isFirst, isSought, members, quoted, onDo }: RowProps) {
  const [isRecalling, setRecalling] = useState(false);
  const isMine = m.sender_id === store.me;
  const isGone = Boolean(m.recalled_at_ms) || !m.content;
  if (m.content?.note) return <li class="thread-note">{lineOf(m)}</li>;
  return (
    <li data-seq={m.seq} class={`msg${isMine ? " is-own" : ""}${isFirst ? " is-first" : ""}${isSought ? " is-sought" : ""}`}>
      <div class="msg-who">{isFirst && !isMine && <Avatar name={nameOf(m.sender_id)} url={personOf(m.sender_id)?.avatar_url} size={32} />}</div>
      <div class="msg-main">
        {isFirst && <span class={isMine ? "sr-only" : "msg-name"}>{isMine ? t("chat.you") : nameOf(m.sender_id)}</span>}
        <div class={`msg-bubble${isGone ? " is-gone" : ""}`}>
          {m.reply_to_seq ? <Quote message={quoted} /> : null}
          {isGone ? (
            <span>{t("chat.recalled")}</span>
          ) : (
            <>
              {m.content?.attachments?.map((a) => (
                <span key={a.name} class="msg-file">
                  <Paperclip size={16} aria-hidden="true" />
                  {a.name}
                </span>
              ))}
              <div class="msg-text">
                <Spans spans={parseMarkup(m.content?.text ?? "")} />
              </div>
            </>
          )}
          <span class="msg-meta">
            {m.edited_at_ms && !isGone ? <span title={dateTimeText(m.edited_at_ms)}>{t("chat.edited")}</span> : null}
            <time dateTime={new Date(m.created_at_ms).toISOString()} title={dateTimeText(m.created_at_ms)}>
              {timeText(m.created_at_ms)}
            </time>
            {isMine && !isGone && <Ticks seq={m.seq} members={members} me={store.me} />}
          </span>
        </div>
        {!isGone && <Reactions store={store} message={m} />}
      </div>
      {!isGone && <Actions store={store} message={m} onDo={onDo} onRecall={() => setRecalling(true)} />}
      {isRecalling && (
        <Confirm
          title={t("chat.recallTitle")}
          text={t("chat.recallText")}
          action={t("chat.recall")}
          isDanger
          onClose={() => setRecalling(false)}
          onConfirm={() => {
            setRecalling(false);
            store.recall(m).catch(toastError);
          }}
        />
      )}
    </li>
  );
}

export function Quote({ message }: { message: Message | undefined }) {
  return (
    <blockquote class="quote">
      {message && <span class="quote-name">{nameOf(message.sender_id)}</span>}
      <span class="quote-text">{message ? lineOf(message) : t("chat.quoteFar")}</span>
    </blockquote>
  );
}

// Written, but not yet in the log.
export function OutgoingRow({ store, item }: { store: ChatStore; item: Outgoing }) {
  const isFailed = item.state === "failed";
  const isLinkDown = store.link.value !== "open";
  return (
    <li class="msg is-own is-first">
      <div class="msg-who" />
      <div class="msg-main">
        <span class="sr-only">{t("chat.you")}</span>
        <div class={`msg-bubble${isFailed ? " is-failed" : item.state === "pending" ? " is-pending" : ""}`}>
          <div class="msg-text">
            <Spans spans={parseMarkup(item.content.text)} />
          </div>
          <span class="msg-meta">
            {isFailed ? <CircleAlert size={14} aria-hidden="true" /> : item.state === "pending" ? <Clock size={14} aria-hidden="true" /> : <Check size={16} aria-hidden="true" />}
            <span>{isFailed ? t("chat.notSent") : item.state === "sent" ? t("chat.sent") : isLinkDown ? t("chat.queued") : t("chat.sending")}</span>
          </span>
        </div>
        {isFailed && (
          <div class="msg-failure" role="alert">
            <span>{item.error}</span>
            <IconButton icon={RotateCw} size={16} label={t("retry")} onClick={() => store.sendAgain(item.clientMsgId)} />
            <IconButton icon={Trash2} size={16} label={t("chat.discard")} onClick={() => store.discard(item.clientMsgId)} />
          </div>
        )}
      </div>
    </li>
  );
}
