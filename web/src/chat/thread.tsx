// The messages of a conversation: stays at the end while one is there, keeps its place when older ones come in above, and
// marks as read what is looked at.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { ArrowDown, LoaderCircle } from "lucide-preact";
import { dayText } from "../app/dates";
import { language, t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import type { Doing } from "./conversation";
import { MessageRow, OutgoingRow } from "./message-row";
import { notIn } from "./outbox";
import { rowsOf } from "./rows";
import type { ChatStore } from "./store";

const nearPx = 80;
const pagePx = 300;

interface Props {
  store: ChatStore;
  id: string;
  atSeq: number;
  onDo: (doing: Doing) => void;
}

export function ThreadView({ store, id, atSeq, onDo }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(!atSeq);
  const fromEndPx = useRef(0);
  const [isAway, setAway] = useState(false);
  const thread = store.threads.value.get(id);
  const own = store.conversations.value.get(id)?.own;
  // Where reading had come to when this was opened: the line stays there.
  const [unreadAfter, setUnreadAfter] = useState<number | null>(null);
  const messages = thread?.log.messages ?? [];
  const waiting = notIn(store.box.value, id, messages, store.me);
  const members = store.members.value.get(id) ?? [];
  const first = messages[0]?.seq ?? 0;
  const last = messages[messages.length - 1]?.seq ?? 0;
  const isReady = thread?.state === "ready";

  useEffect(() => {
    if (isReady && unreadAfter === null) setUnreadAfter(own?.unread_count ? own.read_seq : -1);
  }, [isReady]);

  const read = () => {
    if (isReady && !thread.log.hasNewer && isAtEnd.current && document.hasFocus()) store.read(id, last);
  };
  useEffect(() => {
    if (unreadAfter === null) return;
    read();
    addEventListener("focus", read);
    return () => removeEventListener("focus", read);
  });

  useLayoutEffect(() => {
    const el = box.current;
    if (!el || !isReady) return;
    const wanted = atSeq ? el.querySelector(`[data-seq="${atSeq}"]`) : null;
    if (wanted) wanted.scrollIntoView({ block: "center" });
  }, [isReady, atSeq]);

  useLayoutEffect(() => {
    const el = box.current;
    if (el && first && !isAtEnd.current && fromEndPx.current) el.scrollTop = el.scrollHeight - fromEndPx.current;
  }, [first]);

  useLayoutEffect(() => {
    const el = box.current;
    if (el && isAtEnd.current) el.scrollTop = el.scrollHeight;
  });

  // Phones shrink the box when the keyboard comes, pictures and texts grow it.
  useEffect(() => {
    const el = box.current;
    if (!el) return;
    const watcher = new ResizeObserver(() => isAtEnd.current && (el.scrollTop = el.scrollHeight));
    watcher.observe(el);
    return () => watcher.disconnect();
  }, []);

  const onScroll = () => {
    const el = box.current;
    if (!el) return;
    const below = el.scrollHeight - el.scrollTop - el.clientHeight;
    fromEndPx.current = el.scrollHeight - el.scrollTop;
    isAtEnd.current = below < nearPx && !thread?.log.hasNewer;
    setAway(!isAtEnd.current);
    if (el.scrollTop < pagePx) void store.page(id, "older");
    if (below < pagePx) void store.page(id, "newer");
    read();
  };
  const toEnd = () => {
    isAtEnd.current = true;
    setAway(false);
    if (thread?.log.hasNewer) void store.load(id);
    else if (box.current) box.current.scrollTop = box.current.scrollHeight;
  };

  const sent = waiting.length;
  useEffect(() => {
    if (sent) toEnd();
  }, [sent]);

  const rows = useMemo(
    () => rowsOf(messages, unreadAfter ?? -1, store.me, dayText),
    [messages, unreadAfter, language()],
  );
  const bySeq = useMemo(() => new Map(messages.map((m) => [m.seq, m])), [messages]);

  return (
    <div class="thread-frame">
      <div ref={box} class="thread" role="log" aria-label={t("chat.messages")} tabIndex={0} onScroll={onScroll}>
        {(thread?.state === "loading" || thread?.isPaging) && <LoaderCircle class="spinner thread-busy" size={20} aria-label={t("loading")} />}
        {isReady && !messages.length && !waiting.length && <p class="chat-hint">{t("chat.first")}</p>}
        {id.startsWith("u:") && !waiting.length && <p class="chat-hint">{t("chat.first")}</p>}
        <ol>
          {rows.map((row) =>
            row.type === "day" ? (
              <li key={row.key} class="thread-day">
                <span>{dayText(row.atMs)}</span>
              </li>
            ) : row.type === "unread" ? (
              <li key={row.key} class="thread-unread">
                <span>{t("chat.unreadLine")}</span>
              </li>
            ) : (
              <MessageRow
                key={row.key}
                store={store}
                message={row.message}
                isFirst={row.isFirst}
                isSought={row.message.seq === atSeq}
                members={members}
                quoted={row.message.reply_to_seq ? bySeq.get(row.message.reply_to_seq) : undefined}
                onDo={onDo}
              />
            ),
          )}
          {waiting.map((o) => (
            <OutgoingRow key={o.clientMsgId} store={store} item={o} />
          ))}
        </ol>
      </div>
      {isAway && <IconButton icon={ArrowDown} class="thread-end" label={t("chat.toEnd")} onClick={toEnd} />}
    </div>
  );
}
