// The lines of a thread: days, the unread line, and messages grouped by who wrote them within a few minutes.
import type { Message } from "./types";

export type Row =
  | { type: "day"; key: string; atMs: number }
  | { type: "unread"; key: string }
  | { type: "message"; key: string; message: Message; isFirst: boolean };

const groupMs = 5 * 60_000;

// `unreadAfter`: what had been read when the thread was opened; -1: no line. `dayOf` names the day of a moment.
export function rowsOf(messages: Message[], unreadAfter: number, me: string, dayOf: (ms: number) => string): Row[] {
  const rows: Row[] = [];
  let before: Message | null = null;
  let isLineDrawn = unreadAfter < 0;
  for (const message of messages) {
    const isNewDay: boolean = !before || dayOf(before.created_at_ms) !== dayOf(message.created_at_ms);
    if (isNewDay) rows.push({ type: "day", key: `d${message.seq}`, atMs: message.created_at_ms });
    const isLine: boolean = !isLineDrawn && message.seq > unreadAfter && message.sender_id !== me;
    if (isLine) rows.push({ type: "unread", key: "unread" });
    isLineDrawn ||= isLine;
    const isFirst: boolean =
      isNewDay || isLine || !before || before.sender_id !== message.sender_id || before.content?.note !== undefined ||
      message.created_at_ms - before.created_at_ms > groupMs;
    rows.push({ type: "message", key: `m${message.seq}`, message, isFirst });
    before = message;
  }
  return rows;
}
