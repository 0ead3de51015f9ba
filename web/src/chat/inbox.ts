// The order of the list, and where one goes next: what an inbox is that one key empties. No screen in here.
import type { Conversation } from "./types";

export const isUnread = (c: Conversation): boolean => (c.own?.unread_count ?? 0) > 0 || c.own?.is_marked_unread === true;

export function isQuiet(c: Conversation, nowMs: number): boolean {
  const until = c.own?.quiet_until_ms ?? 0;
  return until === -1 || until > nowMs;
}

// Pinned ones stand above; what is archived stands nowhere but in the archive.
export function inboxOf(sorted: Conversation[]): Conversation[] {
  const shown = sorted.filter((c) => !c.own?.is_archived);
  return [...shown.filter((c) => c.own?.is_pinned), ...shown.filter((c) => !c.own?.is_pinned)];
}

// The next one that has something unread, those that mention one first, quiet ones last; undefined: all is read.
export function nextUnread(sorted: Conversation[], openId: string, nowMs: number): Conversation | undefined {
  const rank = (c: Conversation) => (c.own?.mention_count ? 0 : isQuiet(c, nowMs) ? 2 : 1);
  const waiting = inboxOf(sorted).filter((c) => c.id !== openId && isUnread(c));
  return waiting.sort((a, b) => rank(a) - rank(b))[0];
}

export function beside(sorted: Conversation[], openId: string, by: 1 | -1): Conversation | undefined {
  const list = inboxOf(sorted);
  const at = list.findIndex((c) => c.id === openId);
  return at < 0 ? list[by > 0 ? 0 : list.length - 1] : list[at + by];
}
