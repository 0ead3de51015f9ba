// The server's own lines in a log, in words: who came and went, what was renamed, calls.
import { durationText } from "../app/dates";
import { maybeText, t } from "../i18n/i18n";
import { nameOf } from "./people";
import type { SystemNote } from "./types";

const namesMost = 5;

export function noteText(note: SystemNote): string {
  const ids = note.user_ids ?? [];
  const names = ids.slice(0, namesMost).map(nameOf).join(", ");
  const args = {
    actor: note.actor_id ? nameOf(note.actor_id) : t("chat.somebody"), names: ids.length > namesMost ? `${names}, …` : names, count: ids.length, text: note.text,
    duration: note.duration_ms ? durationText(note.duration_ms) : "",
  };
  // Who comes and goes by themselves is the actor.
  const isSelf = ids.length === 0 || (ids.length === 1 && ids[0] === note.actor_id);
  return (isSelf ? maybeText(`chat.note_self.${note.event}`, args) : undefined) ?? maybeText(`chat.note.${note.event}`, args) ?? (note.text || t("chat.somethingHappened"));
}

// Whether a call that began with this line is running: no later line says that it ended.
export function isCallOver(later: SystemNote[], meetingId: string): boolean {
  return later.some((n) => n.meeting_id === meetingId && (n.event === "call_ended" || n.event === "call_missed"));
}
