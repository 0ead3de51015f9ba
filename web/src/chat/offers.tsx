// Groups one is invited to: who asks, and yes or no.
import { useState } from "preact/hooks";
import { Check, X } from "lucide-preact";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button } from "../ui/controls";
import { useFocusKept } from "../ui/focus-kept";
import { toast, toastError } from "../ui/toast";
import { answer } from "./invitations";
import { nameOf } from "./people";
import type { ChatStore } from "./store";
import type { Invitation } from "./types";

function Offer({ store, offer, onGone }: { store: ChatStore; offer: Invitation; onGone: () => void }) {
  const [isBusy, setBusy] = useState(false);
  const say = async (isAccepted: boolean) => {
    setBusy(true);
    try {
      const c = await answer(store, offer, isAccepted);
      if (!c) return;
      toast(t("chat.invite.accepted", { name: offer.title }), "good");
      onGone();
      go(`/c/${c.id}`);
    } catch (error) {
      toastError(error);
      setBusy(false);
    }
  };
  return (
    <li class="offer">
      <Avatar name={offer.title} url={offer.avatar_url} size={44} />
      <div class="grow offer-what">
        <span class="strong">{offer.title}</span>
        <span class="meta">
          {t("chat.invite.from", { name: nameOf(offer.inviter_id) })} · {t("chat.memberCount", { count: offer.member_count })}
        </span>
        {offer.note && <span class="offer-note">{offer.note}</span>}
        <div class="btn-row">
          <Button kind="primary" icon={Check} disabled={isBusy} aria-label={t("chat.invite.accept", { name: offer.title })} onClick={() => void say(true)}>
            {t("chat.invite.acceptShort")}
          </Button>
          <Button icon={X} disabled={isBusy} aria-label={t("chat.invite.decline", { name: offer.title })} onClick={() => void say(false)}>
            {t("chat.invite.declineShort")}
          </Button>
        </div>
      </div>
    </li>
  );
}

interface Props {
  store: ChatStore;
  offers: Invitation[];
  onGone?: () => void;
}

export function Offers({ store, offers, onGone = () => undefined }: Props) {
  const keeping = useFocusKept();
  if (!offers.length) return null;
  return (
    <section class="offers" {...keeping} aria-label={t("chat.invite.offers")}>
      <h2 class="chat-part">{t("chat.invite.offers")}</h2>
      <ul>
        {offers.map((o) => (
          <Offer key={o.conversation_id} store={store} offer={o} onGone={onGone} />
        ))}
      </ul>
    </section>
  );
}
