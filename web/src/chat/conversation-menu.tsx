// What one can do with a conversation as a whole: read or unread, quiet, above the others, away, left.
import { Archive, ArchiveRestore, Bell, BellOff, CalendarClock, Ellipsis, MailOpen, Mail, Pin, PinOff, Search } from "lucide-preact";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { Menu, type MenuEntry } from "../ui/menu";
import { toast, toastError } from "../ui/toast";
import { isQuiet, isUnread } from "./inbox";
import type { ChatStore } from "./store";
import type { Conversation, Own } from "./types";

const hourMs = 3_600_000;

function tomorrowMs(): number {
  const at = new Date();
  at.setDate(at.getDate() + 1);
  return at.setHours(8, 0, 0, 0);
}

export function markUnread(store: ChatStore, c: Conversation): void {
  store.request("mark_as_read", { id: c.id, is_unread: true }).catch(toastError);
}

export function ownEntries(store: ChatStore, c: Conversation): MenuEntry[] {
  const set = (fields: Partial<Own>, said: string) => void store.setOwn(c.id, fields).then(() => said && toast(said, "good"), toastError);
  const quiet = (text: string, until: number): MenuEntry => ({ text, icon: BellOff, onPick: () => set({ quiet_until_ms: until }, t("chat.quietNow")) });
  return [
    isUnread(c)
      ? { text: t("chat.markRead"), icon: MailOpen, onPick: () => store.read(c.id, c.last_seq) }
      : { text: t("chat.markUnread"), icon: Mail, onPick: () => markUnread(store, c) },
    { text: t(c.own?.is_pinned ? "chat.unpinConversation" : "chat.pinConversation"), icon: c.own?.is_pinned ? PinOff : Pin, onPick: () => set({ is_pinned: !c.own?.is_pinned }, "") },
    {
      text: t(c.own?.is_archived ? "chat.unarchive" : "chat.archive"), icon: c.own?.is_archived ? ArchiveRestore : Archive,
      onPick: () => set({ is_archived: !c.own?.is_archived }, t(c.own?.is_archived ? "chat.unarchived" : "chat.archived")),
    },
    "line",
    ...(isQuiet(c, Date.now())
      ? [{ text: t("chat.quietEnd"), icon: Bell, onPick: () => set({ quiet_until_ms: 0 }, "") }]
      : [
          { title: t("chat.quiet") },
          quiet(t("chat.hours", { count: 1 }), Date.now() + hourMs),
          quiet(t("chat.hours", { count: 8 }), Date.now() + 8 * hourMs),
          quiet(t("chat.quietTomorrow"), tomorrowMs()),
          quiet(t("chat.quietForever"), -1),
        ]),
  ];
}

interface Props {
  store: ChatStore;
  c: Conversation;
  class?: string;
  onPins?: () => void;
  onScheduled?: () => void;
}

export function ConversationMenu({ store, c, class: extra, onPins, onScheduled }: Props) {
  const entries = () => [
    ...(onPins ? [{ text: t("chat.searchHere"), icon: Search, onPick: () => go(`/search?in=${c.id}`) }] : []),
    ...(onPins ? [{ text: t("chat.pins"), icon: Pin, onPick: onPins }] : []),
    ...(onScheduled ? [{ text: t("chat.scheduled"), icon: CalendarClock, onPick: onScheduled }] : []), ...ownEntries(store, c),
  ];
  return (
    <Menu label={t("chat.conversationActions")} class={`icon-btn${extra ? ` ${extra}` : ""}`} entries={entries}>
      <Ellipsis size={20} aria-hidden="true" />
    </Menu>
  );
}
