// What was written and is not acknowledged yet. Every item keeps its client_msg_id for good, so that sending it again,
// after a cut or from another tab, makes no second message. Kept in the browser until the server has it.
import type { Content, Message } from "./types";

// What somebody chose to say, before it has an id.
export interface Saying {
  content: Content;
  replyToSeq?: number;
  threadSeq?: number;
  // The content is taken from there.
  forward?: { id: string; seq: number };
  // Not before this moment: the server keeps it until then.
  sendAtMs?: number;
}

export interface Outgoing extends Saying {
  clientMsgId: string;
  // A conversation's id, or "u:" and the id of a person with whom there is none yet.
  to: string;
  atMs: number;
  // sent: acknowledged, but the log on this page has not brought it yet.
  state: "pending" | "failed" | "sent";
  error: string;
  seq: number;
  // The tab that sends it.
  owner?: string;
}

const lasting = new Set([
  "invalid_argument", "permission_denied", "not_found", "failed_precondition", "already_exists", "body_too_large", "unimplemented",
]);

// Whether sending again could ever help.
export const isLasting = (code: string): boolean => lasting.has(code);

// `isPaused`: conversations that have to wait.
export const nextToSend = (box: Outgoing[], tab?: string, isPaused: (to: string) => boolean = () => false): Outgoing | undefined =>
  box.find((o) => o.state === "pending" && (tab === undefined || o.owner === tab) && !isPaused(o.to));

function change(box: Outgoing[], id: string, fields: Partial<Outgoing>): Outgoing[] {
  return box.map((o) => (o.clientMsgId === id ? { ...o, ...fields } : o));
}

export const failed = (box: Outgoing[], id: string, error: string): Outgoing[] => change(box, id, { state: "failed", error });
export const again = (box: Outgoing[], id: string): Outgoing[] => change(box, id, { state: "pending", error: "" });
export const without = (box: Outgoing[], id: string): Outgoing[] => box.filter((o) => o.clientMsgId !== id);

// Acknowledged. What else waits for the same new conversation now knows its id.
export function acknowledged(box: Outgoing[], id: string, conversationId: string, seq: number): Outgoing[] {
  const to = box.find((o) => o.clientMsgId === id)?.to;
  const moved = to?.startsWith("u:") ? box.map((o) => (o.to === to ? { ...o, to: conversationId } : o)) : box;
  return change(moved, id, { state: "sent", seq });
}

// What to show below the log: items that it does not hold itself.
export function notIn(box: Outgoing[], to: string, messages: Message[], me: string): Outgoing[] {
  const here = box.filter((o) => o.to === to);
  if (!here.length) return here;
  const own = new Set(messages.filter((m) => m.sender_id === me).map((m) => m.client_msg_id));
  return here.filter((o) => !own.has(o.clientMsgId));
}

// What the server is asked for, but for its id.
export function requestOf(o: Pick<Outgoing, "to"> & Saying): object {
  const attachments = o.content.attachments?.map(({ file_id }) => ({ file_id }));
  return {
    ...(o.to.startsWith("u:") ? { to_user_id: o.to.slice(2) } : { conversation_id: o.to }),
    ...(o.forward ? { forward_conversation_id: o.forward.id, forward_seq: o.forward.seq } : { content: { ...o.content, ...(attachments && { attachments }) } }),
    ...(o.replyToSeq ? { reply_to_seq: o.replyToSeq } : {}), ...(o.threadSeq ? { thread_seq: o.threadSeq } : {}),
    ...(o.sendAtMs ? { send_at_ms: o.sendAtMs } : {}),
  };
}

// ---- kept in the browser, one key an item: tabs do not overwrite one another. `me` "": nothing is ----

const prefix = (me: string) => `parlance.unsent.${me}.`;

export function keep(me: string, o: Outgoing): void {
  if (!me) return;
  try {
    localStorage.setItem(prefix(me) + o.clientMsgId, JSON.stringify(o));
  } catch {
    // storage refused or full: it lasts as long as the page
  }
}

export function forget(me: string, id: string): void {
  try {
    localStorage.removeItem(prefix(me) + id);
  } catch {
    // as above
  }
}

export function read(text: string | null): Outgoing | null {
  try {
    const o = JSON.parse(text ?? "null") as Outgoing | null;
    return o && typeof o.clientMsgId === "string" && typeof o.to === "string" && o.content ? o : null;
  } catch {
    return null; // what cannot be read cannot be sent
  }
}

// Whose key in the storage it is; empty: none of ours.
export const idOfKey = (me: string, key: string | null): string => (me && key?.startsWith(prefix(me)) ? key.slice(prefix(me).length) : "");

export function kept(me: string): Outgoing[] {
  const found: Outgoing[] = [];
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      const item = idOfKey(me, key) && key ? read(localStorage.getItem(key)) : null;
      if (item) found.push(item);
    }
  } catch {
    // storage refused
  }
  return found.sort((a, b) => a.atMs - b.atMs);
}
