// Keys of the meeting. Single letters, never with a modifier, never while one types or a dialog is open; Space stays with
// the focused button, so push-to-talk is T. All of it can be switched off (WCAG 2.1.4).
import { t, type Key } from "../i18n/i18n";
import { prefs } from "../media/prefs";
import { announce } from "../ui/toast";
import { togglePip } from "./pip";
import { ScreenShare } from "./screen";
import type { MeetingSession } from "./session";
import { nextLayout, openDialog, toggleChat, togglePeople } from "./view-state";

export const keyList: { key: string; text: Key }[] = [
  { key: "M", text: "keys.mic" },
  { key: "T", text: "keys.talk" },
  { key: "V", text: "keys.camera" },
  { key: "S", text: "keys.screen" },
  { key: "H", text: "keys.hand" },
  { key: "P", text: "keys.people" },
  { key: "C", text: "keys.chat" },
  { key: "L", text: "keys.layout" },
  { key: "I", text: "keys.pip" },
  { key: "F", text: "keys.fullscreen" },
  { key: "?", text: "keys.list" },
];

export function toggleFullscreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void document.documentElement.requestFullscreen?.().catch(() => undefined);
}

export function changeLayout(): void {
  announce(t(`layout.${nextLayout()}`));
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=range]), textarea, select"));
}

function isUsable(e: KeyboardEvent): boolean {
  if (!prefs.value.areKeysOn || e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return false;
  return !isTyping(e.target) && !document.querySelector("dialog[open], .menu");
}

export function listenToKeys(session: MeetingSession): () => void {
  let isTalking = false;
  const actions: Record<string, () => void> = {
    m: () => void session.toggleMic(),
    v: () => void session.toggleCamera(),
    s: () => ScreenShare.isPossible() && void session.toggleScreen(),
    h: () => void session.toggleHand(),
    p: togglePeople,
    c: toggleChat,
    l: changeLayout,
    i: () => void togglePip(session),
    f: toggleFullscreen,
    "?": () => (openDialog.value = "keys"),
  };
  const onDown = (e: KeyboardEvent) => {
    if (!isUsable(e)) return;
    const key = e.key.toLowerCase();
    if (key === "t") {
      e.preventDefault();
      if (e.repeat || session.isMicOn.value) return;
      isTalking = true;
      void session.setMic(true, false);
      return;
    }
    const action = e.repeat ? undefined : actions[key];
    if (!action) return;
    e.preventDefault();
    action();
  };
  const stopTalking = () => {
    if (!isTalking) return;
    isTalking = false;
    void session.setMic(false, false);
  };
  const onUp = (e: KeyboardEvent) => e.key.toLowerCase() === "t" && stopTalking();
  document.addEventListener("keydown", onDown);
  document.addEventListener("keyup", onUp);
  addEventListener("blur", stopTalking);
  return () => {
    document.removeEventListener("keydown", onDown);
    document.removeEventListener("keyup", onUp);
    removeEventListener("blur", stopTalking);
  };
}
