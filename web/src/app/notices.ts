// Whether this browser may show what comes in: what the person chose here, and what the browser allows.
import { signal } from "@preact/signals";
import { readJson, writeJson } from "./storage";

interface Choice {
  // "": nobody was asked yet.
  wish: "" | "on" | "off";
  hasSound: boolean;
}

const storageKey = "parlance.notices";
export const choice = signal<Choice>(readJson<Choice>(storageKey, { wish: "", hasSound: false }));

export function choose(fields: Partial<Choice>): void {
  choice.value = { ...choice.value, ...fields };
  writeJson(storageKey, choice.value);
}

export const canNotify = (): boolean => "Notification" in window;
export const isBlocked = (): boolean => canNotify() && Notification.permission === "denied";

export function areOn(): boolean {
  return choice.value.wish === "on" && canNotify() && Notification.permission === "granted";
}

// To be called from a click: browsers ask only then. False: it was refused.
export async function turnOn(): Promise<boolean> {
  const isGranted = canNotify() && (await Notification.requestPermission()) === "granted";
  choose({ wish: isGranted ? "on" : "off" });
  return isGranted;
}
