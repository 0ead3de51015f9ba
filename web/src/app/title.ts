// The name of the page in the browser's tab, and before it how much is unread.
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { unreadMessages } from "./unread";

const page = signal("");

export function titleText(name: string, unread: number): string {
  const count = unread > 0 ? `(${unread > 99 ? "99+" : unread}) ` : "";
  return count + (name ? `${name} · Parlance` : "Parlance");
}

export function useTitle(title: string): void {
  useEffect(() => {
    page.value = title;
  }, [title]);
}

export function startTitle(): void {
  effect(() => {
    document.title = titleText(page.value, unreadMessages.value);
  });
}
