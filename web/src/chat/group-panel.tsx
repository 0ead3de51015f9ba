// A group: what it is, who belongs to it and who would like to, its settings, leaving it.
import { useEffect, useState } from "preact/hooks";
import { Check, Ellipsis, Link2, LogOut, Settings2, UserPlus, X } from "lucide-preact";
import { copyText } from "../app/clipboard";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, IconButton } from "../ui/controls";
import { Confirm } from "../ui/dialog";
import { lazy } from "../ui/lazy";
import { Menu } from "../ui/menu";
import { toastError } from "../ui/toast";
import { GroupInvitations } from "./group-invitations";
import { GroupSettings } from "./group-settings";
import { mayInviteTo, mayManage as mayManageIn } from "./may";
import { memberEntries, NicknameDialog } from "./member-menu";
import { nameOf, personOf } from "./people";
import { PresenceDot } from "./presence-dot";
import { SidePanel } from "./side-panel";
import type { ChatStore } from "./store";
import type { Conversation, Member } from "./types";

const rank = { owner: 0, admin: 1, member: 2 };

const InviteDialog = lazy(() => import("./invite-dialog"));

// Who is in another state than inside: those who ask, those who were banned.
function Others({ store, c, state }: { store: ChatStore; c: Conversation; state: "asking" | "banned" }) {
  const [list, setList] = useState<Member[]>([]);
  const load = () => store.request<{ members?: Member[] }>("list_members", { id: c.id, state, limit: 100 }).then((r) => setList(r.members ?? []), () => setList([]));
  useEffect(() => void load(), [c.id, c.rev]);
  const run = (work: Promise<unknown>) => void work.catch(toastError).then(() => (load(), store.loadMembers(c.id)));
  const admit = (m: Member, is_admitted: boolean) => run(store.request("set_member", { id: c.id, user_id: m.user_id, is_admitted }));
  if (!list.length) return null;
  return (
    <section>
      <h3 class="chat-part">{t(state === "asking" ? "chat.group.asking" : "chat.group.banned")}</h3>
      <ul>
        {list.map((m) => (
          <li key={m.user_id} class="group-member">
            <Avatar name={nameOf(m.user_id)} url={personOf(m.user_id)?.avatar_url} size={32} />
            <span class="grow">{nameOf(m.user_id)}</span>
            {state === "asking" ? (
              <>
                <IconButton icon={Check} size={18} label={t("chat.group.admit", { name: nameOf(m.user_id) })} onClick={() => admit(m, true)} />
                <IconButton icon={X} size={18} label={t("chat.group.refuse", { name: nameOf(m.user_id) })} onClick={() => admit(m, false)} />
              </>
            ) : (
              <Button onClick={() => run(store.request("unban_member", { id: c.id, user_id: m.user_id }))}>{t("chat.group.unban")}</Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function MemberRow({ store, c, m, onNickname }: { store: ChatStore; c: Conversation; m: Member; onNickname: (m: Member) => void }) {
  const name = m.nickname || nameOf(m.user_id);
  const entries = memberEntries(store, c, m, () => onNickname(m));
  const isSilent = Number(m.muted_until_ms ?? 0) > Date.now() || Number(m.muted_until_ms) === -1;
  return (
    <li class="group-member">
      <span class="with-dot">
        <Avatar name={name} url={personOf(m.user_id)?.avatar_url} size={32} />
        <PresenceDot id={m.user_id} />
      </span>
      <span class="grow">{m.user_id === store.me ? t("chat.youNamed", { name }) : name}</span>
      {isSilent && <span class="meta">{t("chat.group.silenced")}</span>}
      {m.role !== "member" && <span class="meta">{t(m.role === "owner" ? "chat.owner" : "chat.admin")}</span>}
      {entries.length > 0 && (
        <Menu label={t("chat.group.more", { name })} entries={() => entries}>
          <Ellipsis size={18} aria-hidden="true" />
        </Menu>
      )}
    </li>
  );
}

export default function GroupPanel({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [dialog, setDialog] = useState<"add" | "leave" | "settings" | null>(null);
  const [named, setNamed] = useState<Member | null>(null);
  const members = [...(store.members.value.get(c.id) ?? [])].sort(
    (a, b) => rank[a.role] - rank[b.role] || nameOf(a.user_id).localeCompare(nameOf(b.user_id)),
  );
  const isGroup = c.kind === "group" || c.kind === "channel";
  const isIn = c.own?.state === "active" && !c.is_dissolved;
  const mayManage = mayManageIn(c);
  const mayAdd = mayInviteTo(c);
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
    <SidePanel title={t(c.kind === "channel" ? "chat.aboutChannel" : "chat.aboutGroup")} onClose={onClose}>
      {c.announcement && (
        <section>
          <h3 class="chat-part">{t("chat.group.announcement")}</h3>
          <p class="announcement">{c.announcement}</p>
        </section>
      )}
      {mayManage && (
        <Button icon={Settings2} isBlock onClick={() => setDialog("settings")}>
          {t("chat.group.settings")}
        </Button>
      )}
      {mayAdd && (
        <Button icon={UserPlus} isBlock onClick={() => setDialog("add")}>
          {t("chat.addPeople")}
        </Button>
      )}
      {isIn && isGroup && c.join_rule && c.join_rule !== "invited" && (
        <Button icon={Link2} isBlock onClick={() => void copyText(`${location.origin}/c/${c.id}`, t("chat.linkCopied"))}>
          {t("chat.group.copyLink")}
        </Button>
      )}
      {mayManage && <Others store={store} c={c} state="asking" />}
      {mayAdd && <GroupInvitations store={store} c={c} />}
      <section>
        <h3 class="chat-part">{t("chat.memberCount", { count: c.member_count })}</h3>
        <ul class="group-members">
          {members.map((m) => (
            <MemberRow key={m.user_id} store={store} c={c} m={m} onNickname={setNamed} />
          ))}
        </ul>
        {c.member_count > members.length && members.length > 0 && <p class="chat-hint">{t("chat.group.moreMembers", { count: c.member_count - members.length })}</p>}
      </section>
      {mayManage && <Others store={store} c={c} state="banned" />}
      {isIn && isGroup && (
        <Button kind="quiet" class="is-danger" icon={LogOut} isBlock onClick={() => setDialog("leave")}>
          {t(c.kind === "channel" ? "chat.leaveChannel" : "chat.leave")}
        </Button>
      )}
      {dialog === "add" && <InviteDialog store={store} c={c} onClose={() => setDialog(null)} />}
      {dialog === "settings" && <GroupSettings store={store} c={c} onClose={() => setDialog(null)} />}
      {named && <NicknameDialog store={store} c={c} member={named} onClose={() => setNamed(null)} />}
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
