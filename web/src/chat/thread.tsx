// The messages of a conversation: opens where reading ended, stays at the end while one is there, goes to where one is sent,
// and marks as read what is looked at. However long it is, only what is near is mounted (scroller.ts).
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { ArrowDown, LoaderCircle } from "lucide-preact";
import { dayKey } from "../app/dates";
import { language, t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import type { Doing } from "./conversation";
import { Announcer } from "./announcer";
import { DayLine } from "./day-line";
import { MessageRow, OutgoingRow } from "./message-row";
import { notIn } from "./outbox";
import { placed, rowsOf, type Row } from "./rows";
import type { ChatStore } from "./store";
import { useScroller } from "./use-scroller";

// How much of the view stays above what one is sent to.
const soughtShare = 0.35;
const unreadShare = 0.15;

function Busy({ store, id }: { store: ChatStore; id: string }) {
  const isBusy = store.paging.value.has(id) || store.threads.value.get(id)?.state === "loading";
  return isBusy ? <LoaderCircle class="spinner thread-busy" size={20} aria-label={t("loading")} /> : null;
}

interface Props {
  store: ChatStore;
  id: string;
  atSeq: number;
  // How often something was sent by hand: then one goes to the end. What the outbox does by itself moves nobody.
  sentCount: number;
  onDo: (doing: Doing) => void;
}

// Where reading had come to when this was opened, as soon as that is certain; -1: all was read. The line stays there.
function useUnreadAfter(store: ChatStore, id: string): number | null {
  const found = useRef<number | null>(null);
  const thread = store.threads.value.get(id);
  const own = store.conversations.value.get(id)?.own;
  if (found.current === null && thread?.state === "ready" && !thread.isStale) found.current = own?.unread_count ? own.read_seq : -1;
  return found.current;
}

export function ThreadView({ store, id, atSeq, sentCount, onDo }: Props) {
  const thread = store.threads.value.get(id);
  const messages = thread?.log.messages ?? [];
  const box = store.box.value;
  const waiting = useMemo(() => notIn(box, id, messages, store.me), [box, id, messages]);
  const members = store.members.value.get(id);
  const last = messages[messages.length - 1]?.seq ?? 0;
  const isReady = thread?.state === "ready";
  const hasNewer = thread?.log.hasNewer ?? false;
  const unreadAfter = useUnreadAfter(store, id);

  const rows = useMemo(() => {
    const lines = rowsOf(messages, unreadAfter ?? -1, store.me, dayKey);
    return placed([...lines, ...waiting.map((item): Row => ({ type: "outgoing", key: `o${item.clientMsgId}`, item }))]);
  }, [messages, waiting, unreadAfter, language()]);
  const bySeq = useMemo(() => new Map(messages.map((m) => [m.seq, m])), [messages]);
  const { scroller, box: boxRef, list, isAway, shown, beforePx, afterPx } = useScroller({
    rows, isOpenEnd: !hasNewer, onNear: (where) => void store.page(id, where),
  });

  // Where to begin: at what one was sent to, else at what is new if it does not fit, else at the end.
  const soughtSeq = store.sought.value?.id === id ? store.sought.value.seq : atSeq;
  const cameTo = useRef<unknown>(null);
  const goal = store.sought.value?.id === id ? store.sought.value : atSeq || "unread";
  useLayoutEffect(() => {
    if (!isReady || cameTo.current === goal) return;
    if (soughtSeq) {
      if (scroller.toRow(`m${soughtSeq}`, soughtShare)) cameTo.current = goal;
    } else if (unreadAfter !== null) {
      cameTo.current = goal;
      if (unreadAfter >= 0 && !scroller.isSeenAtEnd("unread")) scroller.toRow("unread", unreadShare);
    }
  }, [isReady, goal, rows]);

  const read = () => {
    if (isReady && unreadAfter !== null && scroller.isAtEnd && document.hasFocus()) store.read(id, last);
  };
  useEffect(() => {
    read();
    addEventListener("focus", read);
    return () => removeEventListener("focus", read);
  });

  const toEnd = () => {
    store.sought.value = null;
    if (hasNewer) void store.load(id).then(() => scroller.toEnd());
    else scroller.toEnd();
  };
  useEffect(() => {
    if (sentCount) toEnd();
  }, [sentCount]);

  const isEmpty = !messages.length && !waiting.length;
  return (
    <div class="thread-frame">
      <Busy store={store} id={id} />
      <Announcer store={store} id={id} />
      <div ref={boxRef} class="thread" role="group" aria-label={t("chat.messages")} tabIndex={0} onScroll={() => (scroller.onScroll(), read())}>
        {isEmpty && (isReady || id.startsWith("u:")) && <p class="chat-hint">{t("chat.first")}</p>}
        <ol ref={list} style={{ paddingTop: `${beforePx}px`, paddingBottom: `${afterPx}px` }}>
          {shown.map((row) =>
            row.type === "day" ? (
              <DayLine key={row.key} store={store} id={id} atMs={row.atMs} />
            ) : row.type === "unread" ? (
              <li key={row.key} class="thread-unread">
                <span>{t("chat.unreadLine")}</span>
              </li>
            ) : row.type === "outgoing" ? (
              <OutgoingRow key={row.key} store={store} item={row.item} />
            ) : (
              <MessageRow
                key={row.key}
                store={store}
                message={row.message}
                isFirst={row.isFirst}
                isSought={row.message.seq === soughtSeq}
                members={members ?? nobody}
                quoted={row.message.reply_to_seq ? bySeq.get(row.message.reply_to_seq) : undefined}
                onDo={onDo}
                isBare={scroller.isBare}
              />
            ),
          )}
        </ol>
      </div>
      {isAway && <IconButton icon={ArrowDown} class="thread-end" label={t("chat.toEnd")} onClick={toEnd} />}
    </div>
  );
}

const nobody: never[] = [];
