// Once somebody has begun to talk here: whether they want to be told of answers. Asked in the page first, so that a "no" is not for ever.
import { BellRing } from "lucide-preact";
import { canNotify, choice, choose, isBlocked, turnOn } from "../app/notices";
import { t } from "../i18n/i18n";
import { Button } from "../ui/controls";
import type { ChatStore } from "./store";

export function NoticeOffer({ store }: { store: ChatStore }) {
  const hasSpoken = store.sorted.value.some((c) => c.last_message?.sender_id === store.me && Date.now() - c.last_message.created_at_ms < 600_000);
  if (!hasSpoken || choice.value.wish !== "" || !canNotify() || isBlocked()) return null;
  return (
    <div class="notice-offer" role="region" aria-label={t("notices.title")}>
      <BellRing size={20} aria-hidden="true" />
      <p>{t("chat.noticeOffer")}</p>
      <div class="btn-row">
        <Button kind="primary" onClick={() => void turnOn()}>
          {t("notices.turnOn")}
        </Button>
        <Button kind="quiet" onClick={() => choose({ wish: "off" })}>
          {t("notices.notNow")}
        </Button>
      </div>
    </div>
  );
}
