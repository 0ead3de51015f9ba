// What the person looks at: layout, pin, open panel and dialog. Lives as long as the page.
import { signal } from "@preact/signals";

export type LayoutMode = "auto" | "grid" | "speaker";
export type DialogName = "devices" | "controls" | "connection" | "keys" | "invite" | "leave" | null;

export const layoutMode = signal<LayoutMode>("auto");
export const pinnedKey = signal<string | null>(null);
export const isSelfHidden = signal(false);
export const isPanelOpen = signal(false);
// Beside the meeting there is room for one of both.
export const isChatOpen = signal(false);
export const openDialog = signal<DialogName>(null);
export const gridPage = signal(0);
// How many pages of tiles there are at the moment; the stage knows.
export const gridPages = signal(1);
// One person's sound is too loud or too low: 0 to 1 by participant.
export const volumes = signal<ReadonlyMap<string, number>>(new Map());

export function togglePeople(): void {
  isChatOpen.value = false;
  isPanelOpen.value = !isPanelOpen.value;
}

export function toggleChat(): void {
  isPanelOpen.value = false;
  isChatOpen.value = !isChatOpen.value;
}

const modes: LayoutMode[] = ["auto", "grid", "speaker"];

export function nextLayout(): LayoutMode {
  layoutMode.value = modes[(modes.indexOf(layoutMode.value) + 1) % modes.length] ?? "auto";
  return layoutMode.value;
}

export function togglePin(key: string): void {
  pinnedKey.value = pinnedKey.value === key ? null : key;
}

export function setVolume(participantId: string, volume: number): void {
  volumes.value = new Map(volumes.value).set(participantId, volume);
}

export function resetView(): void {
  layoutMode.value = "auto";
  pinnedKey.value = openDialog.value = null;
  isSelfHidden.value = isPanelOpen.value = isChatOpen.value = false;
  gridPage.value = 0;
}
