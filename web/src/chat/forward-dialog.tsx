// Where to send a message on to: one or several conversations.
import { useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, Field } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { toast } from "../ui/toast";
import { mayWriteIn } from "./may";
import { pictureOf, titleOf } from "./people";
import type { ChatStore } from "./store";
import { lineOf } from "./texts";
import type { Message } from "./types";

const shownMost = 30;
const chosenMost = 10;

export function ForwardDialog({ store, message, onClose }: { store: ChatStore; message: Message; onClose: () => void }) {
  const [q, setQ] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const list = store.sorted.value.filter((c) => mayWriteIn(c) && titleOf(c).toLowerCase().includes(q.trim().toLowerCase()));
  const forward = () => {
    if (!message.content) return onClose();
    for (const to of chosen) store.send(to, { content: message.content, forward: { id: message.conversation_id, seq: message.seq } });
    toast(t("chat.forwarded", { count: chosen.length }), "good");
    onClose();
  };
  const toggle = (id: string) => setChosen(chosen.includes(id) ? chosen.filter((x) => x !== id) : [...chosen, id].slice(-chosenMost));
  return (
    <Dialog
      title={t("chat.forwardTitle")}
      onClose={onClose}
      footer={
        <Button kind="primary" disabled={!chosen.length} onClick={forward}>
          {t("chat.forward")}
        </Button>
      }
    >
      <blockquote class="quote">
        <span class="quote-text">{lineOf(message, store.me)}</span>
      </blockquote>
      <Field label={t("chat.forwardTo")} value={q} onValue={setQ} autocomplete="off" />
      <ul class="choices">
        {list.slice(0, shownMost).map((c) => (
          <li key={c.id}>
            <label class="choice">
              <input type="checkbox" checked={chosen.includes(c.id)} onChange={() => toggle(c.id)} />
              <Avatar name={titleOf(c)} url={pictureOf(c)} size={32} />
              <span class="grow">{titleOf(c)}</span>
            </label>
          </li>
        ))}
      </ul>
      {!list.length && <p class="chat-hint">{t("chat.foundNone")}</p>}
    </Dialog>
  );
}
