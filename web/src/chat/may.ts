// What the caller may do in a conversation, as far as the page can tell; the server judges.
import type { Conversation } from "./types";

export function mayWriteIn(c: Conversation): boolean {
  return c.own?.state === "active" && !c.is_dissolved && (!(c.is_muted || c.kind === "channel") || c.own.role !== "member");
}
