// The line before the first message of a day. Pressed, it lets one choose another day to go to.
import { useEffect, useRef, useState } from "preact/hooks";
import { dateField, dayText, fieldsToMs } from "../app/dates";
import { t } from "../i18n/i18n";
import { toastError } from "../ui/toast";
import { seqAtTime } from "./seek";
import type { ChatStore } from "./store";

// A date that is typed is a valid one at every key.
const typingPauseMs = 800;

interface Props {
  store: ChatStore;
  id: string;
  atMs: number;
}

export function DayLine({ store, id, atMs }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const [isChoosing, setChoosing] = useState(false);
  useEffect(() => field.current?.focus(), [isChoosing]);
  const jump = async (day: string) => {
    const ms = fieldsToMs(day, "00:00");
    const lastSeq = store.conversations.value.get(id)?.last_seq ?? 0;
    if (Number.isNaN(ms) || !lastSeq) return;
    setChoosing(false);
    try {
      const timeOf = async (seq: number) => (await store.messagesAround(id, seq, 1))[0]?.created_at_ms ?? 0;
      store.seek(id, await seqAtTime(ms, lastSeq, timeOf));
    } catch (error) {
      toastError(error);
    }
  };
  return (
    <li class="thread-day">
      {isChoosing ? (
        <input
          ref={field}
          type="date"
          class="input thread-date"
          aria-label={t("chat.toDay")}
          value={dateField(atMs)}
          max={dateField(Date.now())}
          onChange={(e) => {
            const day = e.currentTarget.value;
            clearTimeout(timer.current);
            timer.current = setTimeout(() => void jump(day), typingPauseMs);
          }}
          onKeyDown={(e) => e.key === "Escape" && (clearTimeout(timer.current), setChoosing(false))}
          onBlur={() => setChoosing(false)}
        />
      ) : (
        <button type="button" title={t("chat.toDay")} onClick={() => setChoosing(true)}>
          {dayText(atMs)}
        </button>
      )}
    </li>
  );
}
