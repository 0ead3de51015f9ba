// Notifications of this browser: of messages while one looks elsewhere, and the sound.
import { useState } from "preact/hooks";
import { BellOff } from "lucide-preact";
import { areOn, canNotify, choice, choose, isBlocked, turnOn } from "../app/notices";
import { t } from "../i18n/i18n";
import { Note, Switch } from "../ui/controls";

export function Notices() {
  const [isRefused, setRefused] = useState(isBlocked());
  const change = async (isWanted: boolean) => {
    if (!isWanted) return choose({ wish: "off" });
    setRefused(!(await turnOn()));
  };
  return (
    <div class="form">
      <Switch label={t("notices.messages")} hint={t("notices.messagesHint")} checked={areOn()} disabled={!canNotify()} onChange={(v) => void change(v)} />
      <Switch label={t("notices.sound")} checked={choice.value.hasSound} onChange={(hasSound) => choose({ hasSound })} />
      {(isRefused || !canNotify()) && (
        <Note kind="warn" icon={BellOff}>
          {t(canNotify() ? "notices.blocked" : "notices.impossible")}
        </Note>
      )}
    </div>
  );
}
