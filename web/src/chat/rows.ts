// The lines of a thread: days, the unread line, messages grouped by who wrote them within a few minutes, and what is on its way.
import type { Outgoing } from "./outbox";
import type { Row as Placed } from "./scroller";
import type { Content, Message } from "./types";

export type Row =
  | { type: "day"; key: string; atMs: number }
  | { type: "unread"; key: string }
  | { type: "message"; key: string; message: Message; isFirst: boolean }
  | { type: "outgoing"; key: string; item: Outgoing };

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

const linePx = 22;
const letterPx = 8;
const bubblePx = 32;
const guessedWidthPx = 480;

// Told again and again for every page that comes: remembered by the content, which never changes.
const guessedLines = new WeakMap<Content, number>();

function linesOf(content: Content | undefined): number {
  if (!content) return 1;
  let lines = guessedLines.get(content) ?? 0;
  if (lines) return lines;
  for (const line of content.text.split("\n", 40)) lines += Math.max(1, Math.ceil((line.length * letterPx) / guessedWidthPx));
  guessedLines.set(content, lines);
  return lines;
}

function guessPx(row: Row): number {
  if (row.type === "day" || row.type === "unread") return 42;
  const isTall = row.type === "message" && row.isFirst;
  return bubblePx + linesOf(row.type === "outgoing" ? row.item.content : row.message.content) * linePx + (isTall ? 30 : 0);
}

// As the scroller wants them: with a guess of their height until they are measured.
export function placed(rows: Row[]): (Row & Placed)[] {
  return rows.map((row) => ({ ...row, guessPx: guessPx(row), isHold: row.type === "message" || row.type === "outgoing" }));
}
