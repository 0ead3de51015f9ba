// Who belongs to a group: adding, removing, leaving.
import { useState } from "preact/hooks";
import { LogOut, UserMinus, UserPlus } from "lucide-preact";
import { go } from "../app/router";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { PeoplePicker } from "../pages/people-picker";
import { Avatar } from "../ui/avatar";
import { Button, IconButton } from "../ui/controls";
import { Confirm, Dialog } from "../ui/dialog";
import { toast, toastError } from "../ui/toast";
import { know, nameOf, personOf } from "./people";
import { PresenceDot } from "./presence-dot";
import { SidePanel } from "./side-panel";
import type { ChatStore } from "./store";
import type { Conversation, Member } from "./types";

const rank = { owner: 0, admin: 1, member: 2 };

function AddPeople({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [people, setPeople] = useState<Profile[]>([]);
  const [isBusy, setBusy] = useState(false);
  const add = async () => {
    setBusy(true);
    try {
      const reply = await store.request<{ refused_user_ids?: string[] }>("add_members", { id: c.id, user_ids: people.map((p) => p.id) });
      know(...people);
      const refused = reply.refused_user_ids ?? [];
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
        <Button kind="primary" isBusy={isBusy} disabled={!people.length} onClick={() => void add()}>
          {t("chat.add")}
        </Button>
      }
    >
      <div class="chat-new">
        <PeoplePicker label={t("chat.members")} people={people} onPeople={setPeople} />
      </div>
    </Dialog>
  );
}

export default function GroupPanel({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [dialog, setDialog] = useState<"add" | "leave" | null>(null);
  const members = [...(store.members.value.get(c.id) ?? [])].sort(
    (a, b) => rank[a.role] - rank[b.role] || nameOf(a.user_id).localeCompare(nameOf(b.user_id)),
  );
  const own = c.own?.role ?? "member";
  const isIn = c.own?.state === "active" && !c.is_dissolved;
  const mayManage = isIn && own !== "member" && c.kind !== "meeting";
  const mayRemove = (m: Member) => mayManage && m.user_id !== store.me && rank[own] < rank[m.role];
  const remove = (m: Member) =>
    store.request("remove_member", { id: c.id, user_id: m.user_id }).then(() => store.loadMembers(c.id), toastError);
  const leave = async () => {
    setDialog(null);
    try {
      await store.leaveGroup(c.id);
      go("/c");
    } catch (error) {
      toastError(error);
    }
  };
  return (
    <SidePanel title={t("chat.members")} onClose={onClose}>
      {mayManage && (
        <Button icon={UserPlus} isBlock onClick={() => setDialog("add")}>
          {t("chat.addPeople")}
        </Button>
      )}
      <ul class="group-members">
        {members.map((m) => (
          <li key={m.user_id} class="group-member">
            <span class="with-dot">
              <Avatar name={nameOf(m.user_id)} url={personOf(m.user_id)?.avatar_url} size={32} />
              <PresenceDot id={m.user_id} />
            </span>
            <span class="grow">{m.user_id === store.me ? t("chat.you") : nameOf(m.user_id)}</span>
            {m.role !== "member" && <span class="meta">{t(m.role === "owner" ? "chat.owner" : "chat.admin")}</span>}
            {mayRemove(m) && <IconButton icon={UserMinus} size={18} label={t("chat.remove", { name: nameOf(m.user_id) })} onClick={() => void remove(m)} />}
          </li>
        ))}
      </ul>
      {isIn && c.kind !== "meeting" && (
        <Button kind="quiet" class="is-danger" icon={LogOut} isBlock onClick={() => setDialog("leave")}>
          {t("chat.leave")}
        </Button>
      )}
      {dialog === "add" && <AddPeople store={store} c={c} onClose={() => setDialog(null)} />}
      {dialog === "leave" && (
        <Confirm
          title={t("chat.leaveTitle", { name: c.title })}
          text={t("chat.leaveText")}
          action={t("chat.leave")}
          isDanger
          onClose={() => setDialog(null)}
          onConfirm={() => void leave()}
        />
      )}
    </SidePanel>
  );
}
