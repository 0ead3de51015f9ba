// What one says of oneself: here, away, busy, not to be disturbed or unseen; a line of text; who sees it.
import { useState } from "preact/hooks";
import { errorText } from "../app/errors";
import type { Status } from "../app/own-status";
import { t, type Key } from "../i18n/i18n";
import { Button, Field, Select } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { EmojiButton } from "./emoji-button";
import { ownPresence, setPresence } from "./presence";

const statuses: [Status, Key, Key][] = [
  ["online", "chat.status.online", "chat.status.onlineHint"], ["away", "chat.status.away", "chat.status.awayHint"], ["busy", "chat.status.busy", "chat.status.busyHint"],
  ["do_not_disturb", "chat.status.doNotDisturb", "chat.status.doNotDisturbHint"], ["invisible", "chat.status.invisible", "chat.status.invisibleHint"],
];
const hourMs = 3_600_000;
const audiences = ["everyone", "contacts", "nobody"];

function untilMs(choice: string): number {
  if (choice === "today") return new Date().setHours(24, 0, 0, 0);
  return choice === "0" ? 0 : Date.now() + Number(choice) * hourMs;
}

export default function StatusDialog({ onClose }: { onClose: () => void }) {
  const own = ownPresence.value;
  const [status, setStatus] = useState<Status>(own?.status ?? "online");
  const [text, setText] = useState(own?.text ?? "");
  const [emoji, setEmoji] = useState(own?.emoji ?? "");
  const [until, setUntil] = useState("0");
  const [shownTo, setShownTo] = useState(own?.shown_to ?? "everyone");
  const [lastSeenTo, setLastSeenTo] = useState(own?.last_seen_to ?? "everyone");
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    const at = untilMs(until);
    try {
      await setPresence({
        status, text: text.trim(), emoji, text_until_ms: text.trim() || emoji ? at : 0, status_until_ms: status === "online" ? 0 : at,
        shown_to: shownTo, last_seen_to: lastSeenTo,
      });
      onClose();
    } catch (error) {
      setProblem(errorText(error));
      setBusy(false);
    }
  };
  const audienceOptions = audiences.map((value) => ({ value, text: t(`chat.audience_${value}` as Key) }));
  return (
    <Dialog
      title={t("chat.status.title")}
      onClose={onClose}
      footer={
        <Button kind="primary" isBusy={isBusy} onClick={() => void save()}>
          {t("save")}
        </Button>
      }
    >
      <div class="form">
        <fieldset class="statuses">
          <legend class="sr-only">{t("chat.status.title")}</legend>
          {statuses.map(([value, name, hint]) => (
            <label key={value} class="choice">
              <input type="radio" name="status" checked={status === value} onChange={() => setStatus(value)} />
              <span class={`dot is-${value}`} aria-hidden="true" />
              <span class="grow">
                {t(name)} <span class="meta">{t(hint)}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <div class="status-text">
          <EmojiButton label={t("chat.status.emoji")} onPick={setEmoji}>
            <span class="status-emoji">{emoji || "🙂"}</span>
          </EmojiButton>
          <Field class="grow" label={t("chat.status.text")} value={text} maxLength={100} error={problem || undefined} onValue={setText} />
        </div>
        {(text || emoji || status !== "online") && (
          <Select
            label={t("chat.status.until")}
            value={until}
            options={[
              { value: "0", text: t("chat.status.forever") }, { value: "1", text: t("chat.hours", { count: 1 }) }, { value: "4", text: t("chat.hours", { count: 4 }) },
              { value: "today", text: t("chat.status.today") }, { value: "168", text: t("chat.status.week") },
            ]}
            onValue={setUntil}
          />
        )}
        {(text || emoji) && (
          <Button kind="quiet" onClick={() => (setText(""), setEmoji(""))}>
            {t("chat.status.clear")}
          </Button>
        )}
        <Select label={t("chat.status.shownTo")} value={shownTo} options={audienceOptions} onValue={setShownTo} />
        <Select label={t("chat.status.lastSeenTo")} value={lastSeenTo} options={audienceOptions} onValue={setLastSeenTo} />
      </div>
    </Dialog>
  );
}
