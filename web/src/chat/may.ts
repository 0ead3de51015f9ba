// What the caller may do in a conversation, as far as the page can tell; the server judges.
import type { Conversation } from "./types";

export function mayWriteIn(c: Conversation): boolean {
  return c.own?.state === "active" && !c.is_dissolved && (!(c.is_muted || c.kind === "channel") || c.own.role !== "member");
}

const leads = (c: Conversation): boolean => c.own !== undefined && c.own.role !== "member";

export function mayMentionAllIn(c: Conversation): boolean {
  return leads(c) || c.members_may_mention_all === true;
}

// Owner and admins of a group that still lives.
export function mayManage(c: Conversation): boolean {
  return (c.kind === "group" || c.kind === "channel") && c.own?.state === "active" && !c.is_dissolved && leads(c);
}

// Who may bring others in, or invite them.
export function mayInviteTo(c: Conversation): boolean {
  const isIn = (c.kind === "group" || c.kind === "channel") && c.own?.state === "active" && !c.is_dissolved;
  return isIn && (leads(c) || c.join_rule === "open" || c.members_may_add === true);
}
