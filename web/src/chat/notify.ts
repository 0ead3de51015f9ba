// What comes in while one looks elsewhere: a notification of the browser, a sound if wanted. Quiet conversations, "do not disturb"
// and a page that is looked at stay silent.
import { areOn, choice } from "../app/notices";
import { go, place } from "../app/router";
import { readText, writeText } from "../app/storage";
import { t } from "../i18n/i18n";
import { toast } from "../ui/toast";
import { isQuiet } from "./inbox";
import { nameOf, pictureOf, titleOf } from "./people";
import { isDisturbable } from "./presence";
import type { ChatStore } from "./store";
import { contentLine } from "./texts";
import type { Change, Conversation, Message } from "./types";

const focusEveryMs = 3_000;
const focusLastsMs = 5_000;
const oldMs = 60_000;
const focusKey = "parlance.focused";
const textMost = 200;

export interface Circumstances {
  me: string;
  isDisturbable: boolean;
  nowMs: number;
}

// Whether a message is worth telling at all, wherever one looks.
export function isWorthTelling(m: Message, c: Conversation | undefined, { me, isDisturbable: may, nowMs }: Circumstances): boolean {
  if (!c || !m.content || m.sender_id === me || m.content.note?.actor_id === me || !may) return false;
  if (m.content.note && m.content.note.event !== "call_started" && m.content.note.event !== "call_missed") return false;
  if (c.own?.state !== "active" || isQuiet(c, nowMs) || m.seq <= c.own.read_seq) return false;
  return nowMs - m.created_at_ms < oldMs;
}

// One of the person's tabs is in front: it shows by itself what comes.
function isSomeTabFocused(): boolean {
  return document.hasFocus() || Date.now() - (Number(readText(focusKey)) || 0) < focusLastsMs;
}

function tellFocus(): void {
  if (document.hasFocus()) writeText(focusKey, String(Date.now()));
}

const openId = (): string => /^\/c\/([^/?]+)/.exec(place.peek().path)?.[1] ?? "";

function chime(): void {
  try {
    const context = new AudioContext();
    const gain = context.createGain();
    gain.connect(context.destination);
    gain.gain.setValueAtTime(0.12, context.currentTime);
    gain.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.5);
    for (const [hertz, at] of [[660, 0], [880, 0.12]] as const) {
      const tone = context.createOscillator();
      tone.frequency.value = hertz;
      tone.connect(gain);
      tone.start(context.currentTime + at);
      tone.stop(context.currentTime + 0.5);
    }
    setTimeout(() => void context.close(), 800);
  } catch {
    // no sound here
  }
}

function show(m: Message, c: Conversation): void {
  const content = m.content;
  if (!content) return;
  const title = titleOf(c);
  const line = contentLine(content).slice(0, textMost);
  const body = c.kind === "direct" || content.note ? line : t("chat.lineOf", { name: nameOf(m.sender_id), text: line });
  // The same tag from every tab: it is seen once.
  const icon = pictureOf(c);
  const notice = new Notification(title, { body, tag: `${c.id}:${m.seq}`, ...(icon ? { icon } : {}), silent: true });
  notice.onclick = () => {
    window.focus();
    go(`/c/${c.id}`);
    notice.close();
  };
}

// A call is told inside the page too, with the way in.
function offerCall(m: Message): void {
  const note = m.content?.note;
  const code = note?.meeting_code;
  if (note?.event !== "call_started" || !code || place.peek().path.startsWith("/m/")) return;
  toast(t("chat.note.call_started", { actor: nameOf(note.actor_id) }), "info", { text: t("chat.callJoin"), run: () => go(`/m/${code}`) });
}

export function startNotices(store: ChatStore): () => void {
  const hear = (name: string, body: unknown) => {
    const m = name === "change" && (body as Change).type === "message" ? (body as Change).message : undefined;
    if (!m) return;
    // The list learns of the conversation first; people's names come from the server.
    setTimeout(() => {
      const c = store.conversations.peek().get(m.conversation_id);
      if (!isWorthTelling(m, c, { me: store.me, isDisturbable: isDisturbable(), nowMs: Date.now() }) || !c) return;
      const isLookedAt = document.hasFocus() && openId() === c.id;
      if (document.hasFocus()) offerCall(m);
      if (!isSomeTabFocused() && areOn()) show(m, c);
      if (!isLookedAt && choice.peek().hasSound) chime();
    }, 300);
  };
  store.heard.add(hear);
  const timer = setInterval(tellFocus, focusEveryMs);
  addEventListener("focus", tellFocus);
  const onBlur = () => writeText(focusKey, null);
  addEventListener("blur", onBlur);
  tellFocus();
  return () => {
    store.heard.delete(hear);
    clearInterval(timer);
    removeEventListener("focus", tellFocus);
    removeEventListener("blur", onBlur);
  };
}
