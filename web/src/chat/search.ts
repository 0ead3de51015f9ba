// Searching messages: what is asked for, as an address and as a request; and the same question put to what this browser
// keeps, when there is no connection.
import { dateField, fieldsToMs } from "../app/dates";
import { errorCode } from "../app/errors";
import type { ChatStore } from "./store";
import type { ContentKind, Message } from "./types";

export const kinds = ["text", "image", "file", "voice", "video", "location", "card"] as const satisfies readonly ContentKind[];

export interface Question {
  words: string;
  senderId: string;
  // A conversation.
  id: string;
  kind: string;
  // Days, as date fields have them; the last one is within.
  from: string;
  to: string;
}
export interface Found {
  messages: Message[];
  cursor: string;
  // The newest messages are not searchable yet.
  isIndexing: boolean;
  // Without connection, only what is kept here was looked through.
  isHere: boolean;
}

const names: [keyof Question, string][] = [["words", "q"], ["senderId", "from"], ["id", "in"], ["kind", "kind"], ["from", "since"], ["to", "until"]];
const pageMost = 30;
// Pages may be empty though there are more.
const roundsMost = 8;
const hereMost = 200;
const dayMs = 86_400_000;
export const lettersMin = 2;

export function questionOf(query: URLSearchParams): Question {
  const of = Object.fromEntries(names.map(([field, name]) => [field, query.get(name) ?? ""])) as unknown as Question;
  const day = (text: string) => (/^\d{4}-\d\d-\d\d$/.test(text) ? text : "");
  return { ...of, kind: (kinds as readonly string[]).includes(of.kind) ? of.kind : "", from: day(of.from), to: day(of.to) };
}

export function addressOf(q: Question): string {
  const query = new URLSearchParams(names.flatMap(([field, name]) => (q[field] ? [[name, q[field]]] : [])));
  return `/search${query.size ? `?${query.toString()}` : ""}`;
}

export const filterCount = (q: Question): number => [q.senderId, q.id, q.kind, q.from || q.to].filter(Boolean).length;

// Words of one letter find too much to be asked for alone.
export const isAsking = (q: Question): boolean => [...q.words.trim()].length >= lettersMin || (filterCount(q) > 0 && !q.words.trim());

export const isTimeWrong = (q: Question): boolean => q.from !== "" && q.to !== "" && q.from > q.to;

function times(q: Question): { from_ms: number; to_ms: number } {
  const startMs = (day: string) => (day ? fieldsToMs(day, "00:00") : 0);
  // The day after, by the calendar: days are not all equally long.
  const after = q.to && new Date(Date.parse(`${q.to}T00:00Z`) + dayMs).toISOString().slice(0, 10);
  return { from_ms: startMs(q.from), to_ms: startMs(after) };
}

export function matches(m: Message, q: Question): boolean {
  const { content } = m;
  if (!content || m.recalled_at_ms || content.kind === "system") return false;
  if ((q.senderId && m.sender_id !== q.senderId) || (q.id && m.conversation_id !== q.id) || (q.kind && content.kind !== q.kind)) return false;
  const { from_ms, to_ms } = times(q);
  if (m.created_at_ms < from_ms || (to_ms && m.created_at_ms >= to_ms)) return false;
  const said = [content.text, content.location?.name ?? "", ...(content.attachments ?? []).map((a) => a.name)].join(" ").toLowerCase();
  return q.words.toLowerCase().split(/\s+/).every((word) => said.includes(word));
}

async function findHere(store: ChatStore, q: Question): Promise<Found> {
  const messages = (await store.heldMessages()).filter((m) => matches(m, q)).sort((a, b) => b.created_at_ms - a.created_at_ms);
  return { messages: messages.slice(0, hereMost), cursor: "", isIndexing: false, isHere: true };
}

export async function find(store: ChatStore, q: Question, cursor = ""): Promise<Found> {
  if (store.link.value !== "open") return findHere(store, q);
  const question = {
    limit: pageMost, ...times(q), ...(q.words.trim() && { query: q.words.trim() }), ...(q.id && { id: q.id }), ...(q.senderId && { sender_id: q.senderId }), ...(q.kind && { kind: q.kind }),
  };
  const found: Found = { messages: [], cursor, isIndexing: false, isHere: false };
  try {
    for (let round = 0; round < roundsMost; round++) {
      const reply = await store.request<{ messages?: Message[]; next_cursor: string; is_indexing?: boolean }>("search", { ...question, cursor: found.cursor });
      found.messages.push(...(reply.messages ?? []));
      found.cursor = reply.next_cursor;
      found.isIndexing = reply.is_indexing ?? false;
      if (found.messages.length || !found.cursor) break;
    }
  } catch (error) {
    if (!["offline", "unavailable"].includes(errorCode(error)) || cursor) throw error;
    return findHere(store, q);
  }
  return found;
}

export const today = (): string => dateField(Date.now());
