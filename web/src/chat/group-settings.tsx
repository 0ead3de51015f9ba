// The settings of a group or channel, for those who lead it; the owner may end it.
import { useState } from "preact/hooks";
import { errorText } from "../app/errors";
import { t, type Key } from "../i18n/i18n";
import { Button, Field, Select, Switch, TextArea } from "../ui/controls";
import { Confirm, Dialog } from "../ui/dialog";
import { toastError } from "../ui/toast";
import type { ChatStore } from "./store";
import type { Conversation, JoinRule } from "./types";

export const joinRules: JoinRule[] = ["invited", "ask", "open"];
const keepDays = [0, 30, 90, 365, 1825];

export function joinOptions(): { value: string; text: string }[] {
  return joinRules.map((value) => ({ value, text: t(`chat.join_${value}` as Key) }));
}

export function GroupSettings({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [title, setTitle] = useState(c.title);
  const [announcement, setAnnouncement] = useState(c.announcement ?? "");
  const [rule, setRule] = useState<string>(c.join_rule ?? "invited");
  const [isMuted, setMuted] = useState(c.is_muted ?? false);
  const [membersAdd, setMembersAdd] = useState(c.members_may_add ?? false);
  const [isConsent, setConsent] = useState(c.is_consent_needed ?? false);
  const [mentionAll, setMentionAll] = useState(c.members_may_mention_all ?? false);
  const [days, setDays] = useState(c.retention_days ?? 0);
  const [problem, setProblem] = useState("");
  const [isEnding, setEnding] = useState(false);
  const isOwner = c.own?.role === "owner";
  const save = async () => {
    const changes = {
      ...(title.trim() !== c.title && { title: title.trim() }), ...(announcement !== (c.announcement ?? "") && { announcement }), ...(rule !== c.join_rule && { join_rule: rule }),
      ...(isMuted !== (c.is_muted ?? false) && { is_muted: isMuted }), ...(days !== (c.retention_days ?? 0) && { retention_days: days }),
      ...(membersAdd !== (c.members_may_add ?? false) && { members_may_add: membersAdd }), ...(isConsent !== (c.is_consent_needed ?? false) && { is_consent_needed: isConsent }),
      ...(mentionAll !== (c.members_may_mention_all ?? false) && { members_may_mention_all: mentionAll }),
    };
    if (!title.trim()) return setProblem(t("chat.groupNameMissing"));
    try {
      if (Object.keys(changes).length) store.adopt(await store.request<Conversation>("update_group", { id: c.id, ...changes }));
      onClose();
    } catch (error) {
      setProblem(errorText(error));
    }
  };
  const dissolve = () => {
    store.request("dissolve_group", { id: c.id }).then(() => store.reload(c.id), toastError).finally(onClose);
  };
  if (isEnding)
    return (
      <Confirm title={t("chat.group.dissolveTitle", { name: c.title })} text={t("chat.group.dissolveText")} action={t("chat.group.dissolve")} isDanger onClose={() => setEnding(false)} onConfirm={dissolve} />
    );
  const dayOptions = [...new Set([...keepDays, days])].map((d) => ({ value: String(d), text: d ? t("chat.group.days", { count: d }) : t("chat.group.daysAll") }));
  return (
    <Dialog
      title={t("chat.group.settings")}
      onClose={onClose}
      footer={
        <>
          {isOwner && (
            <Button kind="quiet" class="is-danger" onClick={() => setEnding(true)}>
              {t("chat.group.dissolve")}
            </Button>
          )}
          <Button kind="primary" onClick={() => void save()}>
            {t("save")}
          </Button>
        </>
      }
    >
      <div class="form">
        <Field label={t("chat.groupName")} value={title} maxLength={100} error={problem || undefined} onValue={(v) => (setTitle(v), setProblem(""))} />
        <TextArea label={t("chat.group.announcement")} hint={t("chat.group.announcementHint")} value={announcement} maxLength={2000} onValue={setAnnouncement} />
        <Select label={t("chat.group.joining")} value={rule} options={joinOptions()} onValue={setRule} />
        <Switch label={t("chat.group.membersAdd")} checked={membersAdd} onChange={setMembersAdd} />
        <Switch label={t("chat.group.consent")} hint={t("chat.group.consentHint")} checked={isConsent} onChange={setConsent} />
        {c.kind === "group" && <Switch label={t("chat.group.mentionAll")} checked={mentionAll} onChange={setMentionAll} />}
        {c.kind === "group" && <Switch label={t("chat.group.muted")} hint={t("chat.group.mutedHint")} checked={isMuted} onChange={setMuted} />}
        {isOwner && <Select label={t("chat.group.keep")} value={String(days)} options={dayOptions} onValue={(v) => setDays(Number(v))} />}
      </div>
    </Dialog>
  );
}
