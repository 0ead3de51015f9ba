// One conversation: its head, the thread, the composer; at the right who belongs to it, a thread or what is pinned.
import { useCallback, useEffect, useState } from "preact/hooks";
import { ArrowLeft, Info, Pin, Video } from "lucide-preact";
import { signedIn } from "../app/api";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, IconButton } from "../ui/controls";
import { lazy } from "../ui/lazy";
import { toastError } from "../ui/toast";
import { BundleRows } from "./bundle-rows";
import { Composer, takeFiles } from "./composer";
import { ConversationMenu } from "./conversation-menu";
import { useDropZone } from "./drop-zone";
import { mayWriteIn } from "./may";
import { nameOf, personOf, pictureOf, titleOf } from "./people";
import { presenceOf } from "./presence";
import { PresenceDot, presenceText } from "./presence-dot";
import type { ChatStore } from "./store";
import { ThreadView } from "./thread";
import type { Message } from "./types";

export type Deed = "reply" | "edit" | "thread" | "forward" | "receipts" | "hide" | "recall";
export interface Doing {
  type: Deed;
  message: Message;
}
type PlainPanel = "info" | "pins" | "scheduled";
type Panel = { type: PlainPanel } | { type: "thread"; seq: number };

const Deeds = lazy(() => import("./deeds"));
const GroupPanel = lazy(() => import("./group-panel"));
const JoinCard = lazy(() => import("./join-card"));
const PersonPanel = lazy(() => import("./person-panel"));
const PinsPanel = lazy(() => import("./pins-panel"));
const ScheduledPanel = lazy(() => import("./scheduled-panel"));
const ThreadPanel = lazy(() => import("./thread-panel"));

function CallButton({ store, id }: { store: ChatStore; id: string }) {
  const [isBusy, setBusy] = useState(false);
  const call = () => {
    setBusy(true);
    store.request<{ meeting_code: string }>("start_call", { id }).then((r) => go(`/m/${r.meeting_code}`), toastError).finally(() => setBusy(false));
  };
  return <IconButton icon={Video} label={t("chat.call")} disabled={isBusy} onClick={call} />;
}

function TypingLine({ store, id }: { store: ChatStore; id: string }) {
  const names = [...(store.typing.value.get(id)?.keys() ?? [])].map(nameOf);
  return (
    <div class="chat-typing meta" role="status">
      {names.length > 0 && (
        <>
          <span class="typing-dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {t("chat.typing", { count: names.length, names: names.slice(0, 3).join(", ") })}
        </>
      )}
    </div>
  );
}

interface Props {
  store: ChatStore;
  id: string;
  atSeq: number;
  // Beside a meeting, which has a title of its own.
  isBeside?: boolean;
}

export function Conversation({ store, id, atSeq, isBeside = false }: Props) {
  const [doing, setDoing] = useState<Doing | null>(null);
  const [asked, setAsked] = useState<Doing | null>(null);
  const [panel, setPanel] = useState<Panel | null>(null);
  const [sentCount, setSentCount] = useState(0);
  const peerId = id.startsWith("u:") ? id.slice(2) : "";
  const c = store.conversations.value.get(id);
  const thread = store.threads.value.get(id);
  const title = peerId ? nameOf(peerId) : c ? titleOf(c) : "…";
  const picture = peerId ? personOf(peerId)?.avatar_url : c && pictureOf(c);
  const other = peerId || (c?.kind === "direct" ? c.peer_id : "");
  const mayWrite = peerId !== "" || (c !== undefined && mayWriteIn(c));

  useEffect(() => {
    if (peerId) return;
    void store.open(id, atSeq);
    return () => store.leave(id);
  }, [id, atSeq]);

  const { zone, sign } = useDropZone(mayWrite && Boolean(signedIn.value), (files) => takeFiles(id, files));
  // Stays the same: rows that were drawn need not be drawn anew.
  const act = useCallback((d: Doing) => {
    if (d.type === "reply" || d.type === "edit") setDoing(d);
    else if (d.type === "thread") setPanel({ type: "thread", seq: d.message.thread_seq || d.message.seq });
    else setAsked(d);
  }, []);
  const last = thread?.log.messages;
  const editLast = () => {
    const mine = last?.filter((m) => m.sender_id === store.me && !m.recalled_at_ms && m.content?.kind === "text").pop();
    if (mine) setDoing({ type: "edit", message: mine });
  };
  const toggle = (type: PlainPanel) => setPanel(panel?.type === type ? null : { type });
  const close = () => setPanel(null);
  return (
    <>
      <section class="conversation" aria-label={t("chat.with", { name: title })} {...zone}>
        {sign}
        {!isBeside && (
          <header class="conversation-head">
            <IconButton icon={ArrowLeft} class="chat-back" label={t("chat.back")} onClick={() => go("/c")} />
            <span class="with-dot">
              <Avatar name={title} url={picture} size={36} />
              {other && <PresenceDot id={other} />}
            </span>
            <div class="conversation-what">
              <h1 class="conversation-title">{title}</h1>
              {other && <p class="meta conversation-line">{presenceText(presenceOf(other))}</p>}
              {c && c.kind !== "direct" && <p class="meta">{t("chat.memberCount", { count: c.member_count })}</p>}
            </div>
            {c && mayWrite && c.kind !== "meeting" && c.kind !== "channel" && signedIn.value && <CallButton store={store} id={id} />}
            {c && <IconButton icon={Pin} class="head-extra" label={t("chat.pins")} aria-expanded={panel?.type === "pins"} onClick={() => toggle("pins")} />}
            {(c ?? other) && (
              <IconButton icon={Info} label={t(other ? "chat.aboutPerson" : c?.kind === "channel" ? "chat.aboutChannel" : "chat.aboutGroup")} aria-expanded={panel?.type === "info"} onClick={() => toggle("info")} />
            )}
            {c && <ConversationMenu store={store} c={c} onPins={() => setPanel({ type: "pins" })} onScheduled={() => setPanel({ type: "scheduled" })} />}
          </header>
        )}
        {thread?.state === "failed" && !c && store.link.value === "open" && !id.includes(":") ? (
          <JoinCard store={store} id={id} />
        ) : thread?.state === "failed" ? (
          <div class="chat-none">
            <p>{t("chat.loadFailed")}</p>
            <Button onClick={() => void store.open(id)}>{t("retry")}</Button>
          </div>
        ) : (
          <ThreadView store={store} id={id} atSeq={atSeq} sentCount={sentCount} onDo={act} />
        )}
        <BundleRows id={id} />
        <TypingLine store={store} id={id} />
        {mayWrite ? (
          <Composer store={store} id={id} name={title} doing={doing} onDone={() => setDoing(null)} onSent={() => setSentCount(sentCount + 1)} onEditLast={editLast} />
        ) : (
          c && <p class="chat-closed">{t(c.is_dissolved ? "chat.dissolved" : c.own?.state === "asking" ? "chat.join.asked" : "chat.mayNotWrite")}</p>
        )}
      </section>
      {other && panel?.type === "info" && <PersonPanel store={store} id={other} onClose={close} />}
      {c && panel?.type === "scheduled" && <ScheduledPanel store={store} c={c} onClose={close} />}
      {c && c.kind !== "direct" && panel?.type === "info" && <GroupPanel store={store} c={c} onClose={close} />}
      {c && panel?.type === "pins" && <PinsPanel store={store} c={c} onClose={close} />}
      {c && panel?.type === "thread" && (
        <ThreadPanel key={panel.seq} store={store} id={id} seq={panel.seq} mayWrite={mayWrite} onDo={act} onClose={close} />
      )}
      {asked && <Deeds store={store} doing={asked} onClose={() => setAsked(null)} />}
    </>
  );
}
