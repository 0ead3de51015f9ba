// Bringing people into a group: asked first, or added at once where that is allowed.
import { useState } from "preact/hooks";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { PeoplePicker } from "../pages/people-picker";
import { Button, Field, Segmented } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { toast, toastError } from "../ui/toast";
import { know, nameOf } from "./people";
import type { ChatStore } from "./store";
import type { Conversation, Invitation } from "./types";

const noteMost = 200;

interface Reply {
  invitations?: Invitation[];
  invited_user_ids?: string[];
  refused_user_ids?: string[];
}

export default function InviteDialog({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [people, setPeople] = useState<Profile[]>([]);
  const [how, setHow] = useState(c.is_consent_needed ? "ask" : "add");
  const [note, setNote] = useState("");
  const [isBusy, setBusy] = useState(false);
  const isAsking = how === "ask";
  const send = async () => {
    setBusy(true);
    try {
      know(...people);
      const who = { id: c.id, user_ids: people.map((p) => p.id) };
      const reply = await (isAsking ? store.request<Reply>("invite_members", { ...who, note: note.trim() }) : store.request<Reply>("add_members", who));
      const invited = reply.invitations?.length ?? reply.invited_user_ids?.length ?? 0;
      const refused = reply.refused_user_ids ?? [];
      if (invited) toast(t("chat.invite.sent", { count: invited }), "good");
      if (refused.length) toast(t("chat.notAdded", { names: refused.map(nameOf).join(", ") }), "bad");
      await store.loadMembers(c.id);
      onClose();
    } catch (error) {
      toastError(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t("chat.addPeople")}
      onClose={onClose}
      footer={
        <Button kind="primary" isBusy={isBusy} disabled={!people.length} onClick={() => void send()}>
          {t(isAsking ? "chat.invite.do" : "chat.add")}
        </Button>
      }
    >
      <div class="form chat-new">
        {!c.is_consent_needed && (
          <Segmented
            label={t("chat.invite.how")}
            isLabelHidden
            value={how}
            onValue={setHow}
            options={[
              { value: "add", text: t("chat.invite.add") }, { value: "ask", text: t("chat.invite.ask") },
            ]}
          />
        )}
        <p class="meta">{t(isAsking ? "chat.invite.askHint" : "chat.invite.addHint")}</p>
        <PeoplePicker label={t("chat.members")} people={people} onPeople={setPeople} />
        {isAsking && <Field label={t("chat.invite.note")} value={note} maxLength={noteMost} onValue={setNote} />}
      </div>
    </Dialog>
  );
}
