// In the panel of a group: whom one has invited and who has not answered, and the links that lead into it.
import { useState } from "preact/hooks";
import { Link2, Trash2, X } from "lucide-preact";
import { copyText } from "../app/clipboard";
import { dateTimeText } from "../app/dates";
import { errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, IconButton, Select } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { useFocusKept } from "../ui/focus-kept";
import { toastError } from "../ui/toast";
import { linkAddress, revoke, useGroupInvitations } from "./invitations";
import { nameOf, personOf } from "./people";
import { mayManage } from "./may";
import type { ChatStore } from "./store";
import type { Conversation, InviteLink } from "./types";

const dayMs = 86_400_000;
const dayChoices = [1, 7, 30, 365];
const useChoices = [0, 1, 10, 100];

function NewLink({ store, c, onClose }: { store: ChatStore; c: Conversation; onClose: () => void }) {
  const [days, setDays] = useState("7");
  const [uses, setUses] = useState("0");
  const [made, setMade] = useState("");
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    try {
      const link = await store.request<InviteLink>("create_invite_link", { id: c.id, expires_in_ms: Number(days) * dayMs, max_uses: Number(uses) });
      setMade(linkAddress(link.token ?? ""));
    } catch (error) {
      setProblem(errorText(error));
    }
    setBusy(false);
  };
  const copy = () => void copyText(made, t("chat.linkCopied"));
  return (
    <Dialog
      title={t("chat.link.title")}
      onClose={onClose}
      footer={
        <Button kind="primary" icon={Link2} isBusy={isBusy} onClick={() => (made ? copy() : void make())}>
          {t(made ? "chat.link.copy" : "chat.link.make")}
        </Button>
      }
    >
      {made ? (
        <div class="form">
          <p>{t("chat.link.newHint")}</p>
          <p class="new-link">{made}</p>
        </div>
      ) : (
        <div class="form">
          <p class="meta">{t("chat.link.hint")}</p>
          <Select label={t("chat.link.valid")} value={days} onValue={setDays} options={dayChoices.map((d) => ({ value: String(d), text: t("chat.link.days", { count: d }) }))} />
          <Select
            label={t("chat.link.uses")}
            value={uses}
            onValue={setUses}
            options={useChoices.map((n) => ({ value: String(n), text: n ? t("chat.link.usesMost", { count: n }) : t("chat.link.usesAny") }))}
          />
          {problem && (
            <p class="field-error" role="alert">
              {problem}
            </p>
          )}
        </div>
      )}
    </Dialog>
  );
}

function LinkRow({ link, onRevoke }: { link: InviteLink; onRevoke: () => void }) {
  const used = link.max_uses ? t("chat.link.usedOf", { count: link.use_count, most: link.max_uses }) : t("chat.link.used", { count: link.use_count });
  return (
    <li class="group-member">
      <Link2 size={20} aria-hidden="true" />
      <span class="grow contact-what">
        <span>{t("chat.link.until", { when: dateTimeText(link.expires_at_ms) })}</span>
        <span class="meta">
          {nameOf(link.created_by)} · {used}
        </span>
      </span>
      <IconButton icon={Trash2} size={18} label={t("chat.link.revoke")} onClick={onRevoke} />
    </li>
  );
}

export function GroupInvitations({ store, c }: { store: ChatStore; c: Conversation }) {
  const hasLinks = mayManage(c);
  const { invited, links, reload } = useGroupInvitations(store, c, hasLinks);
  const [isMaking, setMaking] = useState(false);
  const keeping = useFocusKept();
  const end = (link: InviteLink) => void store.request("revoke_invite_link", { id: c.id, link_id: link.id }).catch(toastError).then(reload);
  return (
    <>
      {invited.length > 0 && (
        <section {...keeping}>
          <h3 class="chat-part">{t("chat.invite.pending")}</h3>
          <ul>
            {invited.map((i) => (
              <li key={i.user_id} class="group-member">
                <Avatar name={nameOf(i.user_id)} url={personOf(i.user_id)?.avatar_url} size={32} />
                <span class="grow contact-what">
                  <span>{nameOf(i.user_id)}</span>
                  <span class="meta">{t("chat.invite.by", { name: nameOf(i.inviter_id), when: dateTimeText(i.expires_at_ms) })}</span>
                </span>
                <IconButton icon={X} size={18} label={t("chat.invite.revoke", { name: nameOf(i.user_id) })} onClick={() => void revoke(store, i).then(reload)} />
              </li>
            ))}
          </ul>
        </section>
      )}
      {hasLinks && (
        <section {...keeping}>
          <h3 class="chat-part">{t("chat.link.title")}</h3>
          <ul>
            {links.map((l) => (
              <LinkRow key={l.id} link={l} onRevoke={() => end(l)} />
            ))}
          </ul>
          {!links.length && <p class="meta chat-part-hint">{t("chat.link.none")}</p>}
          <Button icon={Link2} isBlock onClick={() => setMaking(true)}>
            {t("chat.link.make")}
          </Button>
        </section>
      )}
      {isMaking && <NewLink store={store} c={c} onClose={() => (setMaking(false), reload())} />}
    </>
  );
}
