// A message: who, when, what; what was done to it; and what one can do with it (late-actions.tsx).
import type { ReadonlySignal } from "@preact/signals";
import { Check, CheckCheck, CircleAlert, Clock, Forward, MessagesSquare, Pin, RotateCw, Trash2 } from "lucide-preact";
import { dateTimeText, timeText } from "../app/dates";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { IconButton } from "../ui/controls";
import { toastError } from "../ui/toast";
import type { Doing } from "./conversation";
import { LateActions } from "./late-actions";
import { MessageBody } from "./message-body";
import { NoteRow } from "./note-row";
import { tickOf } from "./log";
import type { Outgoing } from "./outbox";
import { nameOf, personOf } from "./people";
import type { ChatStore } from "./store";
import { contentLine, lineOf, recalledText } from "./texts";
import type { Member, Message } from "./types";

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

function ForwardedLine({ message: { forwarded_from: from } }: { message: Message }) {
  if (!from) return null;
  return (
    <span class="msg-forwarded">
      <Forward size={14} aria-hidden="true" />
      {t("chat.forwardedFrom", { name: from.sender_name || (from.sender_id ? nameOf(from.sender_id) : t("chat.somebody")) })}
    </span>
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
  // Drawn in the thread's own panel.
  isInThread?: boolean;
  // It goes past and needs no buttons yet.
  isBare?: ReadonlySignal<boolean>;
}

// Drawn anew only for other props or when one of the signals it reads changes (that is how signals treat components).
export function MessageRow({ store, message: m, isFirst, isSought, members, quoted, onDo, isInThread, isBare }: RowProps) {
  if (m.content?.note) return <NoteRow store={store} message={m} note={m.content.note} />;
  const isMine = m.sender_id === store.me;
  const isGone = Boolean(m.recalled_at_ms) || !m.content;
  const isMeant = !isMine && (m.content?.is_mentioning_all || m.content?.mentions?.includes(store.me));
  const sender = members.find((x) => x.user_id === m.sender_id)?.nickname || nameOf(m.sender_id);
  const cls = ["msg", isMine && "is-own", isFirst && "is-first", isSought && "is-sought", isMeant && "is-meant"].filter(Boolean).join(" ");
  const threadSeq = isInThread ? 0 : m.thread_seq;
  return (
    <li data-seq={m.seq} class={cls}>
      <div class="msg-who">{isFirst && !isMine && <Avatar name={sender} url={personOf(m.sender_id)?.avatar_url} size={32} />}</div>
      <div class="msg-main">
        {isFirst && <span class={isMine ? "sr-only" : "msg-name"}>{isMine ? t("chat.you") : sender}</span>}
        <div class={`msg-bubble${isGone ? " is-gone" : ""}${m.content && m.content.kind !== "text" ? ` is-${m.content.kind}` : ""}`}>
          {threadSeq ? (
            <button type="button" class="msg-in-thread" onClick={() => onDo({ type: "thread", message: m })}>
              <MessagesSquare size={14} aria-hidden="true" />
              {t("chat.inThread")}
            </button>
          ) : null}
          <ForwardedLine message={m} />
          {m.reply_to_seq ? <Quote message={quoted} me={store.me} onSeek={() => store.seek(m.conversation_id, m.reply_to_seq ?? 0)} /> : null}
          {isGone || !m.content ? (
            <span>{recalledText(m, store.me)}</span>
          ) : (
            <MessageBody conversationId={m.conversation_id} content={m.content} me={store.me} members={members} />
          )}
          <span class="msg-meta">
            {m.is_pinned && (
              <span role="img" aria-label={t("chat.pinned")} title={t("chat.pinned")}>
                <Pin size={14} aria-hidden="true" />
              </span>
            )}
            {m.edited_at_ms && !isGone ? <span title={t("chat.editedAt", { when: dateTimeText(m.edited_at_ms) })}>{t("chat.edited")}</span> : null}
            <time dateTime={new Date(m.created_at_ms).toISOString()} title={dateTimeText(m.created_at_ms)}>
              {timeText(m.created_at_ms)}
            </time>
            {isMine && !isGone && <Ticks seq={m.seq} members={members} me={store.me} />}
          </span>
        </div>
        {!isGone && <Reactions store={store} message={m} />}
        {!isInThread && m.thread_count ? (
          <button type="button" class="msg-thread" onClick={() => onDo({ type: "thread", message: m })}>
            <MessagesSquare size={16} aria-hidden="true" />
            {t("chat.threadCount", { count: m.thread_count })}
          </button>
        ) : null}
      </div>
      <LateActions store={store} message={m} isGone={isGone} isInThread={isInThread} onDo={onDo} isBare={isBare} />
    </li>
  );
}

export function Quote({ message, me, onSeek }: { message: Message | undefined; me: string; onSeek?: () => void }) {
  const content = (
    <>
      {message && <span class="quote-name">{nameOf(message.sender_id)}</span>}
      <span class="quote-text">{message ? lineOf(message, me) : t("chat.quoteFar")}</span>
    </>
  );
  return (
    <blockquote class="quote">
      {onSeek ? (
        <button type="button" onClick={onSeek}>
          {content}
        </button>
      ) : (
        content
      )}
    </blockquote>
  );
}

// Written, but not yet in the log.
export function OutgoingRow({ store, item }: { store: ChatStore; item: Outgoing }) {
  const isFailed = item.state === "failed";
  const isLinkDown = store.link.value !== "open";
  const members = store.members.value.get(item.to) ?? [];
  const hasOnlyWords = item.content.kind === "text";
  return (
    <li class="msg is-own is-first">
      <div class="msg-who" />
      <div class="msg-main">
        <span class="sr-only">{t("chat.you")}</span>
        <div class={`msg-bubble${isFailed ? " is-failed" : item.state === "pending" ? " is-pending" : ""}`}>
          {hasOnlyWords ? (
            <MessageBody conversationId={item.to} content={item.content} me={store.me} members={members} />
          ) : (
            <div class="msg-text">{contentLine(item.content)}</div>
          )}
          <span class="msg-meta">
            {isFailed ? <CircleAlert size={14} aria-hidden="true" /> : item.state === "pending" ? <Clock size={14} aria-hidden="true" /> : <Check size={16} aria-hidden="true" />}
            <span>{isFailed ? t("chat.notSent") : item.state === "sent" ? t("chat.sent") : isLinkDown || item.error ? t("chat.queued") : t("chat.sending")}</span>
            {item.sendAtMs ? <span>{t("chat.scheduledFor", { when: dateTimeText(item.sendAtMs) })}</span> : null}
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
