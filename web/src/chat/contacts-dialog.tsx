// The contacts: friends, who asks and who was asked, the blocked; adding somebody by name.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Ban, Check, MessageSquare, UserMinus, X } from "lucide-preact";
import { go } from "../app/router";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { PeoplePicker } from "../pages/people-picker";
import { Avatar } from "../ui/avatar";
import { Button, Field, IconButton, Segmented } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { useFocusKept } from "../ui/focus-kept";
import { toast, toastError } from "../ui/toast";
import { act, useContacts, type Contact } from "./contacts";
import { offers } from "./invitations";
import { Offers } from "./offers";
import { know, nameOf, personOf } from "./people";
import { PresenceDot } from "./presence-dot";
import type { ChatStore } from "./store";

const noteMost = 200;

function Row({ contact: c, children }: { contact: Contact; children: ComponentChildren }) {
  return (
    <li class="group-member">
      <span class="with-dot">
        <Avatar name={nameOf(c.user_id)} url={personOf(c.user_id)?.avatar_url} size={36} />
        {c.state === "friend" && <PresenceDot id={c.user_id} />}
      </span>
      <span class="grow contact-what">
        <span>{c.alias || nameOf(c.user_id)}</span>
        <span class="meta">{c.note || (personOf(c.user_id) ? `@${personOf(c.user_id)?.username ?? ""}` : "")}</span>
      </span>
      {children}
    </li>
  );
}

function AddContact({ store, onDone }: { store: ChatStore; onDone: () => void }) {
  const [people, setPeople] = useState<Profile[]>([]);
  const [note, setNote] = useState("");
  const [isBusy, setBusy] = useState(false);
  const ask = async () => {
    setBusy(true);
    try {
      know(...people);
      for (const p of people) await act.ask(store, p.id, note.trim());
      toast(t("chat.contact.asked", { count: people.length }), "good");
      setPeople([]);
      onDone();
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  return (
    <div class="form">
      <PeoplePicker label={t("chat.contact.find")} people={people} onPeople={(next) => setPeople(next.filter((p) => p.id !== store.me))} />
      {people.length > 0 && (
        <>
          <Field label={t("chat.contact.note")} value={note} maxLength={noteMost} onValue={setNote} />
          <Button kind="primary" isBusy={isBusy} onClick={() => void ask()}>
            {t("chat.contact.ask")}
          </Button>
        </>
      )}
    </div>
  );
}

export default function ContactsDialog({ store, onClose }: { store: ChatStore; onClose: () => void }) {
  const [tab, setTab] = useState("friend");
  const { contacts, reload } = useContacts(store);
  const keeping = useFocusKept();
  const run = (work: Promise<unknown>) => void work.catch(toastError).then(reload);
  const write = (c: Contact) => {
    onClose();
    const known = store.sorted.peek().find((x) => x.kind === "direct" && x.peer_id === c.user_id);
    go(`/c/${known?.id ?? `u:${c.user_id}`}`);
  };
  const waiting = (contacts?.asked.length ?? 0) + offers.value.length;
  const none = (list: Contact[]) => contacts && !list.length && <p class="chat-hint">{t("chat.contact.none")}</p>;
  return (
    <Dialog title={t("chat.contacts")} onClose={onClose}>
      <div class="chat-new form" {...keeping}>
        <Segmented
          label={t("chat.contacts")}
          isLabelHidden
          value={tab}
          onValue={setTab}
          options={[
            { value: "friend", text: t("chat.contact.friends") }, { value: "asked", text: waiting ? t("chat.contact.requestsCount", { count: waiting }) : t("chat.contact.requests") },
            { value: "blocked", text: t("chat.contact.blocked") },
          ]}
        />
        {!contacts && <p class="chat-hint">{t("loading")}</p>}
        {tab === "friend" && (
          <>
            <AddContact store={store} onDone={reload} />
            <ul>
              {contacts?.friend.map((c) => (
                <Row key={c.user_id} contact={c}>
                  <IconButton icon={MessageSquare} size={18} label={t("chat.writeTo", { name: nameOf(c.user_id) })} onClick={() => write(c)} />
                  <IconButton icon={UserMinus} size={18} label={t("chat.contact.remove", { name: nameOf(c.user_id) })} onClick={() => run(act.remove(store, c.user_id))} />
                  <IconButton icon={Ban} size={18} label={t("chat.contact.block", { name: nameOf(c.user_id) })} onClick={() => run(act.block(store, c.user_id, true))} />
                </Row>
              ))}
            </ul>
            {none(contacts?.friend ?? [])}
          </>
        )}
        {tab === "asked" && (
          <>
            <Offers store={store} offers={offers.value} onGone={onClose} />
            <ul>
              {contacts?.asked.map((c) => (
                <Row key={c.user_id} contact={c}>
                  <IconButton icon={Check} size={18} label={t("chat.contact.accept", { name: nameOf(c.user_id) })} onClick={() => run(act.answer(store, c.user_id, true))} />
                  <IconButton icon={X} size={18} label={t("chat.contact.refuse", { name: nameOf(c.user_id) })} onClick={() => run(act.answer(store, c.user_id, false))} />
                </Row>
              ))}
              {contacts?.requested.map((c) => (
                <Row key={c.user_id} contact={c}>
                  <span class="meta">{t("chat.contact.waiting")}</span>
                  <IconButton icon={X} size={18} label={t("chat.contact.takeBack", { name: nameOf(c.user_id) })} onClick={() => run(act.remove(store, c.user_id))} />
                </Row>
              ))}
            </ul>
            {!offers.value.length && none([...(contacts?.asked ?? []), ...(contacts?.requested ?? [])])}
          </>
        )}
        {tab === "blocked" && (
          <>
            <ul>
              {contacts?.blocked.map((c) => (
                <Row key={c.user_id} contact={c}>
                  <Button onClick={() => run(act.block(store, c.user_id, false))}>{t("chat.contact.unblock")}</Button>
                </Row>
              ))}
            </ul>
            {none(contacts?.blocked ?? [])}
          </>
        )}
      </div>
    </Dialog>
  );
}
