// What of the chat runs beside every page of the signed-in: counting what is unread, presence, notifications.
import { effect } from "@preact/signals";
import { signedIn } from "../app/api";
import { loadMessages } from "../i18n/i18n";
import { startNotices } from "./notify";
import { startPresence } from "./presence";
import { chatStore } from "./current-store";
import type { ChatStore } from "./store";

let running: ChatStore | null = null;
let stop: (() => void) | null = null;

function end(): void {
  stop?.();
  stop = null;
  running = null;
}

export async function startBackground(): Promise<void> {
  await Promise.all([loadMessages("pages"), loadMessages("chat")]);
  if (!signedIn.peek()) return;
  const store = chatStore();
  if (running === store) return;
  end();
  running = store;
  const stops = [startPresence(store), startNotices(store)];
  void import("./bundles").then(({ carryOn }) => running === store && stops.push(carryOn(store)), () => undefined); // the next page tries again
  stop = () => stops.forEach((end) => end());
}

effect(() => {
  if (running && signedIn.value?.user.id !== running.me) end();
});
