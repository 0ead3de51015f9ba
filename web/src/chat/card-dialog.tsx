// Sending somebody's card: whom one talks with, or whoever is found by name.
import { useState } from "preact/hooks";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { displayName, useUserSearch } from "../pages/people-picker";
import { Avatar } from "../ui/avatar";
import { Field } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { know, personOf } from "./people";
import type { ChatStore } from "./store";
import type { Content } from "./types";

const knownMost = 20;

interface Props {
  store: ChatStore;
  onSend: (content: Content) => void;
  onClose: () => void;
}

export default function CardDialog({ store, onSend, onClose }: Props) {
  const [q, setQ] = useState("");
  const found = useUserSearch(q);
  const peers = store.sorted.value.flatMap((c) => (c.kind === "direct" ? personOf(c.peer_id) ?? [] : [])).slice(0, knownMost);
  const list = q.trim() ? found : peers;
  const send = (p: Profile) => {
    know(p);
    onSend({ kind: "card", text: "", card_user_id: p.id });
    onClose();
  };
  return (
    <Dialog title={t("chat.card.title")} onClose={onClose}>
      <Field label={t("chat.card.find")} value={q} onValue={setQ} autocomplete="off" />
      <ul class="choices">
        {list.map((p) => (
          <li key={p.id}>
            <button type="button" class="choice is-button" onClick={() => send(p)}>
              <Avatar name={displayName(p)} url={p.avatar_url} size={32} />
              <span class="grow">{displayName(p)}</span>
              <span class="meta">@{p.username}</span>
            </button>
          </li>
        ))}
      </ul>
      {!list.length && <p class="chat-hint">{t(q.trim() ? "chat.foundNone" : "chat.card.hint")}</p>}
    </Dialog>
  );
}
