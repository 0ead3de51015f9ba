// What those who lead a group can do about a member, and everybody about the name they have there.
import { useState } from "preact/hooks";
import { Ban, Crown, MicOff, Mic, Pencil, ShieldCheck, ShieldOff, UserMinus } from "lucide-preact";
import { errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { Button, Field } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import type { MenuEntry } from "../ui/menu";
import { toastError } from "../ui/toast";
import { nameOf } from "./people";
import type { ChatStore } from "./store";
import type { Conversation, Member } from "./types";

const rank = { owner: 2, admin: 1, member: 0 };
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

export function memberEntries(store: ChatStore, c: Conversation, m: Member, onNickname: () => void): MenuEntry[] {
  const own = c.own?.role ?? "member";
  if (c.own?.state !== "active" || c.is_dissolved || c.kind === "meeting") return [];
  const isMe = m.user_id === store.me;
  const isAbove = !isMe && rank[own] > rank[m.role];
  const run = (work: Promise<unknown>) => void work.catch(toastError).then(() => store.loadMembers(c.id));
  const set = (fields: object) => run(store.request("set_member", { id: c.id, user_id: m.user_id, ...fields }));
  const remove = (is_banned: boolean) => run(store.request("remove_member", { id: c.id, user_id: m.user_id, is_banned }));
  const isSilent = Number(m.muted_until_ms ?? 0) > Date.now();
  const silence = (text: string, ms: number): MenuEntry => ({ text, icon: MicOff, onPick: () => set({ muted_until_ms: Date.now() + ms }) });
  return [
    ...(isMe || isAbove ? [{ text: t("chat.group.nickname"), icon: Pencil, onPick: onNickname }] : []),
    ...(own === "owner" && !isMe
      ? [
          m.role === "admin"
            ? { text: t("chat.group.makeMember"), icon: ShieldOff, onPick: () => set({ role: "member" }) }
            : { text: t("chat.group.makeAdmin"), icon: ShieldCheck, onPick: () => set({ role: "admin" }) },
          { text: t("chat.group.makeOwner"), icon: Crown, onPick: () => set({ role: "owner" }) },
        ]
      : []),
    ...(isAbove
      ? [
          "line" as const,
          ...(isSilent
            ? [{ text: t("chat.group.unsilence"), icon: Mic, onPick: () => set({ muted_until_ms: 0 }) }]
            : [silence(t("chat.group.silence", { count: 1 }), hourMs), silence(t("chat.group.silence", { count: 24 }), dayMs)]),
          { text: t("chat.remove", { name: nameOf(m.user_id) }), icon: UserMinus, isDanger: true, onPick: () => remove(false) },
          { text: t("chat.group.ban", { name: nameOf(m.user_id) }), icon: Ban, isDanger: true, onPick: () => remove(true) },
        ]
      : []),
  ];
}

export function NicknameDialog({ store, c, member, onClose }: { store: ChatStore; c: Conversation; member: Member; onClose: () => void }) {
  const [name, setName] = useState(member.nickname ?? "");
  const [problem, setProblem] = useState("");
  const save = async () => {
    try {
      await store.request("set_member", { id: c.id, user_id: member.user_id, nickname: name.trim() });
      await store.loadMembers(c.id);
      onClose();
    } catch (error) {
      setProblem(errorText(error));
    }
  };
  return (
    <Dialog
      title={t("chat.group.nicknameTitle", { name: nameOf(member.user_id) })}
      onClose={onClose}
      footer={
        <Button kind="primary" onClick={() => void save()}>
          {t("save")}
        </Button>
      }
    >
      <Field label={t("chat.group.nickname")} hint={t("chat.group.nicknameHint")} value={name} maxLength={50} error={problem || undefined} onValue={setName} />
    </Dialog>
  );
}
