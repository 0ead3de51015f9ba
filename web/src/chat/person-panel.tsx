// Who the other one is in a direct conversation, and what there is between both.
import { Ban, Check, UserPlus } from "lucide-preact";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button } from "../ui/controls";
import { toastError } from "../ui/toast";
import { act, stateOf, useContacts } from "./contacts";
import { nameOf, personOf } from "./people";
import { presenceOf } from "./presence";
import { PresenceDot, presenceText } from "./presence-dot";
import { SidePanel } from "./side-panel";
import type { ChatStore } from "./store";

export default function PersonPanel({ store, id, onClose }: { store: ChatStore; id: string; onClose: () => void }) {
  const { contacts, reload } = useContacts(store);
  const person = personOf(id);
  const state = stateOf(contacts, id);
  const run = (work: Promise<unknown>) => void work.catch(toastError).then(reload);
  return (
    <SidePanel title={t("chat.aboutPerson")} onClose={onClose}>
      <div class="person-head">
        <span class="with-dot">
          <Avatar name={nameOf(id)} url={person?.avatar_url} size={80} />
          <PresenceDot id={id} />
        </span>
        <h3>{nameOf(id)}</h3>
        {person && <p class="meta">@{person.username}</p>}
        <p class="meta">{presenceText(presenceOf(id))}</p>
        {person?.description && <p class="person-text">{person.description}</p>}
      </div>
      {contacts && (
        <>
          {state === "none" && (
            <Button icon={UserPlus} isBlock onClick={() => run(act.ask(store, id))}>
              {t("chat.contact.ask")}
            </Button>
          )}
          {state === "asked" && (
            <Button kind="primary" icon={Check} isBlock onClick={() => run(act.answer(store, id, true))}>
              {t("chat.contact.accept", { name: nameOf(id) })}
            </Button>
          )}
          {state === "requested" && <p class="chat-hint">{t("chat.contact.waiting")}</p>}
          {state === "friend" && <p class="chat-hint">{t("chat.contact.isFriend")}</p>}
          <Button kind="quiet" class={state === "blocked" ? "" : "is-danger"} icon={Ban} isBlock onClick={() => run(act.block(store, id, state !== "blocked"))}>
            {state === "blocked" ? t("chat.contact.unblock") : t("chat.contact.block", { name: nameOf(id) })}
          </Button>
        </>
      )}
    </SidePanel>
  );
}
