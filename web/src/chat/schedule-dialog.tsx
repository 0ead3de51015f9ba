// When a message is to be sent: some usual moments, or a day and a time.
import { useState } from "preact/hooks";
import { dateField, dateTimeText, fieldsToMs, timeField } from "../app/dates";
import { t } from "../i18n/i18n";
import { Button, Field } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { ZoneNote } from "../pages/zone-note";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const soonestMs = 10_000;

// At nine of the day that is so many days from now, where the reader's clock is.
function atNine(days: number): number {
  return fieldsToMs(dateField(Date.now() + days * dayMs), "09:00");
}

export function usualMoments(): number[] {
  const monday = ((8 - new Date(`${dateField(Date.now())}T00:00Z`).getUTCDay()) % 7) || 7;
  return [...new Set([Date.now() + hourMs, atNine(1), atNine(monday)])];
}

export default function ScheduleDialog({ onPick, onClose }: { onPick: (atMs: number) => void; onClose: () => void }) {
  const [date, setDate] = useState(() => dateField(atNine(1)));
  const [time, setTime] = useState(() => timeField(atNine(1)));
  const [problem, setProblem] = useState("");
  const send = (atMs: number) => {
    if (!(atMs > Date.now() + soonestMs)) return setProblem(t("chat.schedulePast"));
    onPick(atMs); // waits like every message until the server has it
    onClose();
  };
  return (
    <Dialog
      title={t("chat.scheduleTitle")}
      onClose={onClose}
      footer={
        <Button kind="primary" onClick={() => send(fieldsToMs(date, time))}>
          {t("chat.scheduleDo")}
        </Button>
      }
    >
      <div class="form">
        <div class="moments">
          {usualMoments().map((ms) => (
            <Button key={ms} isBlock onClick={() => send(ms)}>
              {dateTimeText(ms)}
            </Button>
          ))}
        </div>
        <div class="form-row">
          <Field label={t("chat.scheduleDay")} type="date" value={date} min={dateField(Date.now())} onValue={(v) => (setDate(v), setProblem(""))} />
          <Field label={t("chat.scheduleTime")} type="time" value={time} error={problem || undefined} onValue={(v) => (setTime(v), setProblem(""))} />
        </div>
        <ZoneNote />
      </div>
    </Dialog>
  );
}
