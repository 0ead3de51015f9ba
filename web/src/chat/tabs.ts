// One person, many tabs: which of them is in front and what it shows, and which one speaks for all, so that a message is told
// once. The speaker holds a lock of the browser; when its tab goes, the next in line has it.
import { effect } from "@preact/signals";
import { place } from "../app/router";
import { readText, writeText } from "../app/storage";
import { newId } from "./ids";

const tellEveryMs = 3_000;
// A tab that was in front and has not said so for so long is gone.
const frontLastsMs = 8_000;
const frontKey = "parlance.focused";
const toldKey = "parlance.told";

export const shownHere = (): string => /^\/c\/([^/?]+)/.exec(place.value.path)?.[1] ?? "";

// What a tab in front shows; "": no conversation; null: none is in front. `record`: what that tab wrote.
export function shownInFront(record: string | null, nowMs: number): string | null {
  try {
    const said = JSON.parse(record ?? "null") as { atMs?: number; id?: string } | null;
    return said && Math.abs(nowMs - (said.atMs ?? 0)) < frontLastsMs ? (said.id ?? "") : null;
  } catch {
    return null;
  }
}

export class Tabs {
  private isSpeaker = false;
  private readonly tab = newId();
  private letGo: () => void = () => undefined;
  private readonly timer = setInterval(() => this.tellFront(), tellEveryMs);
  private readonly stopPlace: () => void;

  constructor(account: string) {
    const held = new Promise<void>((resolve) => (this.letGo = resolve));
    const speak = () => ((this.isSpeaker = true), held);
    this.locks?.request(`parlance.speaker.${account}`, speak).catch(() => undefined);
    addEventListener("focus", this.tellFront);
    addEventListener("blur", this.onBlur);
    this.stopPlace = effect(() => {
      shownHere();
      this.tellFront();
    });
  }

  // Absent on pages without TLS.
  private get locks(): LockManager | undefined {
    return navigator.locks as LockManager | undefined;
  }

  private tellFront = (): void => {
    if (document.hasFocus()) writeText(frontKey, JSON.stringify({ atMs: Date.now(), id: shownHere(), tab: this.tab }));
  };

  // Unless the next one has said already that it is in front.
  private onBlur = (): void => {
    if (readText(frontKey)?.includes(this.tab)) writeText(frontKey, null);
  };

  shown(): string | null {
    return document.hasFocus() ? shownHere() : shownInFront(readText(frontKey), Date.now());
  }

  // Whether this tab is the one to tell of it. Without locks: who is first to say so.
  mayTell(what: string): boolean {
    if (this.locks) return this.isSpeaker;
    if (readText(toldKey) === what) return false;
    writeText(toldKey, what);
    return true;
  }

  close(): void {
    clearInterval(this.timer);
    this.stopPlace();
    removeEventListener("focus", this.tellFront);
    removeEventListener("blur", this.onBlur);
    this.letGo();
  }
}
