// Who has read a message of one's own, and to whom it has come.
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Dialog } from "../ui/dialog";
import { toastError } from "../ui/toast";
import { nameOf, personOf } from "./people";
import type { ChatStore } from "./store";
import type { Member, Message } from "./types";

interface Receipts {
  members?: Member[];
  read_count: number;
  delivered_count: number;
}

function People({ title, members }: { title: string; members: Member[] }) {
  if (!members.length) return null;
  return (
    <>
      <h3 class="chat-part">{title}</h3>
      <ul>
        {members.map((m) => (
          <li key={m.user_id} class="group-member">
            <Avatar name={nameOf(m.user_id)} url={personOf(m.user_id)?.avatar_url} size={28} />
            <span>{m.nickname || nameOf(m.user_id)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

export function ReceiptsDialog({ store, message, onClose }: { store: ChatStore; message: Message; onClose: () => void }) {
  const [got, setGot] = useState<Receipts | null>(null);
  useEffect(() => {
    store.request<Receipts>("get_receipts", { id: message.conversation_id, seq: message.seq }).then(setGot, (e) => (toastError(e), onClose()));
  }, []);
  const others = (got?.members ?? []).filter((m) => m.user_id !== store.me);
  const read = others.filter((m) => m.read_seq >= message.seq);
  const delivered = others.filter((m) => m.read_seq < message.seq && m.delivered_seq >= message.seq);
  const rest = others.filter((m) => Math.max(m.read_seq, m.delivered_seq) < message.seq);
  return (
    <Dialog title={t("chat.receipts")} onClose={onClose}>
      {!got ? (
        <p class="chat-hint">{t("loading")}</p>
      ) : others.length ? (
        <>
          <People title={t("chat.read")} members={read} />
          <People title={t("chat.delivered")} members={delivered} />
          <People title={t("chat.sent")} members={rest} />
        </>
      ) : (
        <p class="chat-hint">{t("chat.receiptCounts", { read: got.read_count, delivered: got.delivered_count })}</p>
      )}
    </Dialog>
  );
}
