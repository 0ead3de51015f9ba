// A thread beside the conversation: the message that began it, its answers, and where to write the next one.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { BundleRows } from "./bundle-rows";
import { Composer } from "./composer";
import type { Doing } from "./conversation";
import { MessageRow, OutgoingRow } from "./message-row";
import { SidePanel } from "./side-panel";
import type { ChatStore } from "./store";
import type { History, Message } from "./types";

const answersMost = 200;

// What was fetched, and over it what the page's log knows better.
export function joined(fetched: Message[], held: Message[], rootSeq: number): Message[] {
  const bySeq = new Map(fetched.map((m) => [m.seq, m]));
  for (const m of held) if (m.thread_seq === rootSeq) bySeq.set(m.seq, m);
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
}

function useThread(store: ChatStore, id: string, rootSeq: number): { root: Message | undefined; answers: Message[] } {
  const [fetched, setFetched] = useState<Message[]>([]);
  const [farRoot, setFarRoot] = useState<Message | undefined>();
  const log = store.threads.value.get(id)?.log;
  const root = log?.messages.find((m) => m.seq === rootSeq) ?? farRoot;
  const hasRoot = root !== undefined;
  useEffect(() => {
    let isStale = false;
    const ask = (fields: object) => store.request<History>("get_message_history", { id, ...fields });
    ask({ thread_seq: rootSeq, limit: answersMost }).then((h) => isStale || setFetched(h.messages ?? []), () => undefined);
    if (!hasRoot) ask({ around_seq: rootSeq, limit: 1 }).then((h) => isStale || setFarRoot(h.messages?.find((m) => m.seq === rootSeq)), () => undefined);
    return () => void (isStale = true);
    // Away from the end of the log, what is new is not in it.
  }, [id, rootSeq, store.link.value, log?.hasNewer ? store.conversations.value.get(id)?.rev : 0]);
  const answers = useMemo(() => joined(fetched, log?.messages ?? [], rootSeq), [fetched, log, rootSeq]);
  return { root, answers };
}

interface Props {
  store: ChatStore;
  id: string;
  seq: number;
  mayWrite: boolean;
  onDo: (doing: Doing) => void;
  onClose: () => void;
}

export default function ThreadPanel({ store, id, seq, mayWrite, onDo, onClose }: Props) {
  const [doing, setDoing] = useState<Doing | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const { root, answers } = useThread(store, id, seq);
  const members = store.members.value.get(id) ?? [];
  const held = new Set(answers.map((m) => m.client_msg_id));
  const waiting = store.box.value.filter((o) => o.to === id && o.threadSeq === seq && !held.has(o.clientMsgId));
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [answers.length, waiting.length]);
  const act = (d: Doing) => (d.type === "reply" || d.type === "edit" ? setDoing(d) : onDo(d));
  const row = (m: Message) => (
    <MessageRow
      key={m.seq}
      store={store}
      message={m}
      isFirst
      isSought={false}
      members={members}
      quoted={answers.find((a) => a.seq === m.reply_to_seq)}
      onDo={act}
      isInThread
    />
  );
  const editLast = () => {
    const mine = answers.filter((m) => m.sender_id === store.me && !m.recalled_at_ms && m.content?.kind === "text").pop();
    if (mine) setDoing({ type: "edit", message: mine });
  };
  return (
    <SidePanel title={t("chat.thread")} onClose={onClose} isFlush>
      <div ref={box} class="thread thread-answers" role="group" aria-label={t("chat.thread")} tabIndex={0}>
        <ol>
          {root && row(root)}
          <li class="thread-day">
            <span>{t("chat.threadCount", { count: answers.length })}</span>
          </li>
          {answers.map(row)}
          {waiting.map((o) => (
            <OutgoingRow key={o.clientMsgId} store={store} item={o} />
          ))}
        </ol>
      </div>
      <BundleRows id={id} threadSeq={seq} />
      {mayWrite && (
        <Composer store={store} id={id} threadSeq={seq} name={t("chat.thread")} doing={doing} onDone={() => setDoing(null)} onEditLast={editLast} />
      )}
    </SidePanel>
  );
}
