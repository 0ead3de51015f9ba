// How many messages wait to be read: set by the chat when it runs, shown by the rail.
import { signal } from "@preact/signals";

export const unreadMessages = signal(0);
