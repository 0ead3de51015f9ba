// What waits to be sent in a conversation, and what could not be; each can be taken back.
import { useEffect, useState } from "preact/hooks";
import { CalendarClock, CircleAlert, Trash2 } from "lucide-preact";
import { dateTimeText } from "../app/dates";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { toastError } from "../ui/toast";
import { SidePanel } from "./side-panel";
import type { ChatStore } from "./store";
import { contentLine } from "./texts";
import type { Content, Conversation } from "./types";

interface Scheduled {
  id: string;
  send_at_ms: number;
  request?: { content?: Content };
  error?: string;
}

export default function ScheduledPanel({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [list, setList] = useState<Scheduled[] | null>(null);
  const load = () => store.request<{ messages?: Scheduled[] }>("list_scheduled", { id: c.id }).then((r) => setList(r.messages ?? []), toastError);
  useEffect(() => void load(), [c.id, c.last_seq]);
  const cancel = (s: Scheduled) => void store.request("cancel_scheduled", { id: c.id, scheduled_id: s.id }).catch(toastError).then(load);
  return (
    <SidePanel title={t("chat.scheduled")} onClose={onClose}>
      {!list && <p class="chat-hint">{t("loading")}</p>}
      {list?.length === 0 && <p class="chat-hint">{t("chat.scheduledNone")}</p>}
      <ul>
        {list?.map((s) => (
          <li key={s.id} class="upload">
            <span class="upload-picture">{s.error ? <CircleAlert size={20} aria-hidden="true" /> : <CalendarClock size={20} aria-hidden="true" />}</span>
            <span class="upload-what">
              <span class="pin-text">{s.request?.content ? contentLine(s.request.content) : t("chat.attachment")}</span>
              <span class="meta">{s.error ? `${t("chat.notSent")}: ${s.error}` : dateTimeText(Number(s.send_at_ms))}</span>
            </span>
            <IconButton icon={Trash2} size={18} label={t("chat.scheduledCancel")} onClick={() => cancel(s)} />
          </li>
        ))}
      </ul>
    </SidePanel>
  );
}
