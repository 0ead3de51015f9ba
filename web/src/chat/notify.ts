// What comes in while one looks elsewhere: a notification of the browser, a sound if wanted. Quiet conversations, "do not disturb"
// and a page that is looked at stay silent.
import { areOn, choice } from "../app/notices";
import { go, place } from "../app/router";
import { t } from "../i18n/i18n";
import { toast } from "../ui/toast";
import { isQuiet } from "./inbox";
import { nameOf, pictureOf, titleOf } from "./people";
import { isDisturbable } from "./presence";
import type { ChatStore } from "./store";
import { Tabs } from "./tabs";
import { contentLine } from "./texts";
import type { Change, Conversation, Message } from "./types";

const tellAfterMs = 300;
const textMost = 200;

export interface Circumstances {
  me: string;
  isDisturbable: boolean;
  nowMs: number;
}

// Whether a message is worth telling at all, wherever one looks. What happened while one was away is not heard here: it comes
// by sync and is counted; so no clock is asked how old a message is.
export function isWorthTelling(m: Message, c: Conversation | undefined, { me, isDisturbable: may, nowMs }: Circumstances): boolean {
  if (!c || !m.content || m.sender_id === me || m.content.note?.actor_id === me || !may) return false;
  if (m.content.note && m.content.note.event !== "call_started" && m.content.note.event !== "call_missed") return false;
  return c.own?.state === "active" && !isQuiet(c, nowMs) && m.seq > c.own.read_seq;
}

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
  const tabs = new Tabs(store.me);
  const tell = (m: Message) => {
    const c = store.conversations.peek().get(m.conversation_id);
    if (!isWorthTelling(m, c, { me: store.me, isDisturbable: isDisturbable(), nowMs: Date.now() }) || !c) return;
    if (document.hasFocus()) offerCall(m);
    if (!tabs.mayTell(`${c.id}:${m.seq}`)) return;
    const shown = tabs.shown();
    if (shown === null && areOn()) show(m, c);
    if (shown !== c.id && choice.peek().hasSound) chime();
  };
  const hear = (name: string, body: unknown) => {
    const m = name === "change" && (body as Change).type === "message" ? (body as Change).message : undefined;
    // The list learns of the conversation first; people's names come from the server.
    if (m) setTimeout(() => tell(m), tellAfterMs + Math.random() * tellAfterMs);
  };
  store.heard.add(hear);
  return () => {
    store.heard.delete(hear);
    tabs.close();
  };
}
