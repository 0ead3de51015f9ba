// One conversation: its head, the thread, the composer, and at the right who belongs to it.
import { useEffect, useState } from "preact/hooks";
import { ArrowLeft, Info } from "lucide-preact";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, IconButton } from "../ui/controls";
import { Composer } from "./composer";
import { GroupPanel } from "./group-panel";
import { nameOf, personOf, pictureOf, titleOf } from "./people";
import type { ChatStore } from "./store";
import { ThreadView } from "./thread";
import type { Message } from "./types";

export interface Doing {
  type: "reply" | "edit";
  message: Message;
}

function TypingLine({ store, id }: { store: ChatStore; id: string }) {
  const names = [...(store.typing.value.get(id)?.keys() ?? [])].map(nameOf);
  return (
    <div class="chat-typing meta" role="status">
      {names.length > 0 && t("chat.typing", { count: names.length, names: names.slice(0, 3).join(", ") })}
    </div>
  );
}

interface Props {
  store: ChatStore;
  id: string;
  atSeq: number;
}

export function Conversation({ store, id, atSeq }: Props) {
  const [doing, setDoing] = useState<Doing | null>(null);
  const [isPanelOpen, setPanelOpen] = useState(false);
  const peerId = id.startsWith("u:") ? id.slice(2) : "";
  const c = store.conversations.value.get(id);
  const thread = store.threads.value.get(id);
  const title = peerId ? nameOf(peerId) : c ? titleOf(c) : "…";
  const picture = peerId ? personOf(peerId)?.avatar_url : c && pictureOf(c);
  const mayWrite =
    peerId !== "" || (c?.own?.state === "active" && !c.is_dissolved && (!(c.is_muted || c.kind === "channel") || c.own.role !== "member"));

  useEffect(() => {
    if (peerId) return;
    void store.open(id, atSeq);
    return () => store.leave(id);
  }, [id, atSeq]);

  const last = thread?.log.messages;
  const editLast = () => {
    const mine = last?.filter((m) => m.sender_id === store.me && !m.recalled_at_ms && m.content?.kind === "text").pop();
    if (mine) setDoing({ type: "edit", message: mine });
  };
  return (
    <>
      <section class="conversation" aria-label={t("chat.with", { name: title })}>
        <header class="conversation-head">
          <IconButton icon={ArrowLeft} class="chat-back" label={t("chat.back")} onClick={() => go("/c")} />
          <Avatar name={title} url={picture} size={36} />
          <div class="grow">
            <h1 class="conversation-title">{title}</h1>
            {c && c.kind !== "direct" && <p class="meta">{t("chat.memberCount", { count: c.member_count })}</p>}
          </div>
          {c && c.kind !== "direct" && (
            <IconButton icon={Info} label={t("chat.about")} aria-expanded={isPanelOpen} onClick={() => setPanelOpen(!isPanelOpen)} />
          )}
        </header>
        {thread?.state === "failed" ? (
          <div class="chat-none">
            <p>{t("chat.loadFailed")}</p>
            <Button onClick={() => void store.open(id)}>{t("retry")}</Button>
          </div>
        ) : (
          <ThreadView store={store} id={id} atSeq={atSeq} onDo={setDoing} />
        )}
        <TypingLine store={store} id={id} />
        {mayWrite ? (
          <Composer store={store} id={id} name={title} doing={doing} onDone={() => setDoing(null)} onEditLast={editLast} />
        ) : (
          c && <p class="chat-closed">{t("chat.mayNotWrite")}</p>
        )}
      </section>
      {isPanelOpen && c && <GroupPanel store={store} c={c} onClose={() => setPanelOpen(false)} />}
    </>
  );
}
