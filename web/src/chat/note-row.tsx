// A line of the server's in the thread. A call that runs can be joined from here.
import { Phone, PhoneMissed, PhoneOff } from "lucide-preact";
import { dateTimeText, timeText } from "../app/dates";
import { t } from "../i18n/i18n";
import { isCallOver, noteText } from "./notes";
import type { ChatStore } from "./store";
import type { Message, SystemNote } from "./types";

const callIcons: Record<string, typeof Phone> = { call_started: Phone, call_ended: PhoneOff, call_missed: PhoneMissed };

export function NoteRow({ store, message: m, note }: { store: ChatStore; message: Message; note: SystemNote }) {
  const log = store.threads.value.get(m.conversation_id)?.log;
  const later = (log?.messages ?? []).flatMap((x) => (x.seq > m.seq && x.content?.note ? [x.content.note] : []));
  const isRunning = note.event === "call_started" && !log?.hasNewer && !isCallOver(later, note.meeting_id ?? "");
  const code = isRunning ? note.meeting_code : "";
  const Glyph = callIcons[note.event];
  return (
    <li data-seq={m.seq} class={`thread-note${Glyph ? " is-call" : ""}`}>
      {Glyph && <Glyph size={16} aria-hidden="true" />}
      <span>{noteText(note)}</span>
      <time class="meta" dateTime={new Date(m.created_at_ms).toISOString()} title={dateTimeText(m.created_at_ms)}>
        {timeText(m.created_at_ms)}
      </time>
      {code && (
        <a class="btn btn-primary btn-small" href={`/m/${code}`}>
          {t("chat.callJoin")}
        </a>
      )}
    </li>
  );
}
