// The keys of the messages: one that empties the inbox, ways through the list, help.
import { useEffect } from "preact/hooks";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { announce, toast } from "../ui/toast";
import { beside, isUnread, nextUnread } from "./inbox";
import { titleOf } from "./people";
import type { ChatStore } from "./store";
import type { Conversation } from "./types";

const isWriting = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function visit(c: Conversation | undefined): void {
  if (!c) return;
  go(`/c/${c.id}`);
  announce(titleOf(c));
}

// What is open is read, wherever one has come to in it; then to what waits.
export function readAndGoOn(store: ChatStore, openId: string): void {
  const open = store.conversations.peek().get(openId);
  if (open && isUnread(open)) store.read(open.id, open.last_seq);
  const next = nextUnread(store.sorted.peek(), openId, Date.now());
  if (next) visit(next);
  else toast(t("chat.allRead"), "good");
}

export function useChatKeys(store: ChatStore, openId: string, onHelp: () => void, onSearch: () => void): void {
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.isComposing || document.querySelector("dialog[open]")) return;
      const step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
      if (e.altKey && step) visit(beside(store.sorted.peek(), openId, step));
      else if (e.key === "Escape" && e.shiftKey) readAndGoOn(store, openId);
      else if (e.altKey || isWriting(e.target)) return;
      else if (e.key === "e") readAndGoOn(store, openId);
      else if (e.key === "?") onHelp();
      else if (e.key === "/") onSearch();
      else return;
      e.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [store, openId]);
}
