// A conversation one has no place in, reached by a link: asking to be let in.
import { useState } from "preact/hooks";
import { UserPlus } from "lucide-preact";
import { errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { Button, Field } from "../ui/controls";
import type { ChatStore } from "./store";
import type { Conversation } from "./types";

export default function JoinCard({ store, id }: { store: ChatStore; id: string }) {
  const [note, setNote] = useState("");
  const [problem, setProblem] = useState("");
  const [isAsked, setAsked] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const join = async () => {
    setBusy(true);
    try {
      const c = await store.request<Conversation>("join_group", { id, note: note.trim() });
      if (c.own?.state === "active") {
        store.adopt(c);
        await store.open(id);
      } else setAsked(true);
    } catch (error) {
      setProblem(errorText(error));
    }
    setBusy(false);
  };
  return (
    <div class="chat-none join-card">
      <h2>{t(isAsked ? "chat.join.asked" : "chat.join.title")}</h2>
      <p>{t(isAsked ? "chat.join.askedText" : "chat.join.text")}</p>
      {!isAsked && (
        <>
          <Field label={t("chat.contact.note")} value={note} maxLength={200} error={problem || undefined} onValue={setNote} />
          <Button kind="primary" icon={UserPlus} isBusy={isBusy} onClick={() => void join()}>
            {t("chat.join.do")}
          </Button>
        </>
      )}
    </div>
  );
}
