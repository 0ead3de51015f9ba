// What one says of oneself, for the frame of the page: set by the chat when it runs.
import { signal } from "@preact/signals";

export type Status = "offline" | "online" | "away" | "busy" | "do_not_disturb" | "invisible";

export interface OwnStatus {
  // Chosen; what others see may be "away" by itself.
  status: Status;
  text: string;
  emoji: string;
}

export const ownStatus = signal<OwnStatus | null>(null);
