// What is pinned in a conversation, the latest first; each leads to its place in the log.
import { useEffect, useState } from "preact/hooks";
import { PinOff } from "lucide-preact";
import { dateTimeText } from "../app/dates";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { IconButton } from "../ui/controls";
import { toastError } from "../ui/toast";
import { nameOf, personOf } from "./people";
import { SidePanel } from "./side-panel";
import type { ChatStore } from "./store";
import { lineOf } from "./texts";
import type { Conversation, History, Message } from "./types";

export default function PinsPanel({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [pins, setPins] = useState<Message[] | null>(null);
  const mayUnpin = c.own?.state === "active" && (c.kind === "direct" || c.own.role !== "member");
  useEffect(() => {
    let isStale = false;
    store.request<History>("get_message_history", { id: c.id, is_pinned: true, limit: 100 }).then(
      (h) => isStale || setPins([...(h.messages ?? [])].reverse()),
      (e) => isStale || (setPins((known) => known ?? []), toastError(e)),
    );
    return () => void (isStale = true);
  }, [c.id, c.rev]);
  const unpin = (m: Message) => void store.request("pin", { id: c.id, seq: m.seq, is_removed: true }).catch(toastError);
  return (
    <SidePanel title={t("chat.pins")} onClose={onClose}>
      {pins?.length === 0 && <p class="chat-hint">{t("chat.pinsNone")}</p>}
      {!pins && <p class="chat-hint">{t("loading")}</p>}
      <ul class="pins">
        {pins?.map((m) => (
          <li key={m.seq} class="pin">
            <button type="button" class="conv" onClick={() => store.seek(c.id, m.seq)}>
              <Avatar name={nameOf(m.sender_id)} url={personOf(m.sender_id)?.avatar_url} size={32} />
              <span class="conv-body">
                <span class="strong">{nameOf(m.sender_id)}</span>
                <span class="pin-text">{lineOf(m, store.me)}</span>
                <span class="meta">{dateTimeText(m.created_at_ms)}</span>
              </span>
            </button>
            {mayUnpin && <IconButton icon={PinOff} size={18} label={t("chat.unpin")} onClick={() => unpin(m)} />}
          </li>
        ))}
      </ul>
    </SidePanel>
  );
}
