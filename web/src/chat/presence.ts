// Who is here: asked for the people on the screen, kept true by events. Whoever draws a person's state asks presenceOf; the
// watch list follows from that. And what one says oneself, and whether one is at the device (docs/messaging.md, "Presence").
import { effect, signal } from "@preact/signals";
import { onAccountChange } from "../app/account-change";
import { ownStatus, type Status } from "../app/own-status";
import { readText, writeText } from "../app/storage";
import type { ChatStore } from "./store";

export interface Presence {
  user_id: string;
  status: Status;
  devices?: string[];
  text?: string;
  emoji?: string;
  text_until_ms?: number;
  last_seen_ms?: number;
  version: number | string;
  is_unknown?: boolean;
}

export interface OwnPresence {
  status: Status;
  status_until_ms?: number;
  text?: string;
  emoji?: string;
  text_until_ms?: number;
  shown_to?: string;
  last_seen_to?: string;
}

const watchedMost = 200;
const flushPauseMs = 150;
const idleAfterMs = 5 * 60_000;
const activeEveryMs = 20_000;
const lookEveryMs = 30_000;
const activeKey = "parlance.active";

const presences = signal<Map<string, Presence>>(new Map());
const own = signal<OwnPresence | null>(null);
export const ownPresence = own;

// ---- of two about one person the newer ----

export function newer(known: Map<string, Presence>, got: Presence[]): Map<string, Presence> {
  const next = new Map(known);
  for (const p of got) {
    const before = next.get(p.user_id);
    if (!before || Number(p.version) >= Number(before.version)) next.set(p.user_id, p);
  }
  return next;
}

// Whom to watch: those asked for last, as many as one may.
export function chosen(askedAt: Map<string, number>, most: number): string[] {
  return [...askedAt].sort((a, b) => b[1] - a[1]).slice(0, most).map(([id]) => id);
}

// ---- watching ----

const askedAt = new Map<string, number>();
onAccountChange(() => askedAt.clear());
let watched = new Set<string>();
let store: ChatStore | null = null;
let timer: ReturnType<typeof setTimeout> | null = null;

export function presenceOf(id: string): Presence | undefined {
  if (id && id !== store?.me && !id.startsWith("u:")) {
    askedAt.set(id, Date.now());
    if (!watched.has(id)) timer ??= setTimeout(flush, flushPauseMs);
  }
  return presences.value.get(id);
}

async function flush(): Promise<void> {
  timer = null;
  if (!store || store.link.peek() !== "open" || !askedAt.size) return;
  const wanted = chosen(askedAt, watchedMost);
  const added = wanted.filter((id) => !watched.has(id));
  const removed = [...watched].filter((id) => !wanted.includes(id));
  if (!added.length) return;
  watched = new Set(wanted);
  try {
    const reply = await store.request<{ presences?: Presence[] }>("watch", { is_change: true, user_ids: added, removed_ids: removed });
    presences.value = newer(presences.peek(), reply.presences ?? []);
  } catch {
    for (const id of added) watched.delete(id); // asked again when they are drawn again, or after the next connection
  }
}

function adoptOwn(p: OwnPresence): void {
  own.value = p;
  ownStatus.value = { status: p.status, text: p.text ?? "", emoji: p.emoji ?? "" };
}

export async function setPresence(fields: Partial<OwnPresence>): Promise<void> {
  if (store) adoptOwn(await store.request<OwnPresence>("set_presence", fields));
}

export function isDisturbable(): boolean {
  return own.peek()?.status !== "do_not_disturb";
}

// ---- at the device or not: one person, many tabs ----

let toldIdle: boolean | null = null;
let touchedAtMs = 0;

function lastActiveMs(): number {
  return Math.max(touchedAtMs, Number(readText(activeKey)) || 0);
}

async function tellDevice(): Promise<void> {
  const isIdle = Date.now() - lastActiveMs() > idleAfterMs;
  if (!store || store.link.peek() !== "open" || isIdle === toldIdle) return;
  toldIdle = isIdle;
  const kind = matchMedia("(pointer: coarse) and (max-width: 720px)").matches ? "phone" : "web";
  await store.request("device", { kind, is_idle: isIdle }).catch(() => (toldIdle = null));
}

function onTouch(): void {
  const now = Date.now();
  if (now - touchedAtMs < activeEveryMs && toldIdle === false) return;
  touchedAtMs = now;
  writeText(activeKey, String(now));
  void tellDevice();
}

// Begins when the chat does; a new sign-in begins anew.
export function startPresence(next: ChatStore): () => void {
  store = next;
  presences.value = new Map();
  own.value = null;
  const hear = (name: string, body: unknown) => {
    if (name === "presence") presences.value = newer(presences.peek(), (body as { presences?: Presence[] }).presences ?? []);
    else if (name === "own_presence") adoptOwn(body as OwnPresence);
  };
  next.heard.add(hear);
  const stopLink = effect(() => {
    if (next.link.value !== "open") return;
    watched = new Set();
    toldIdle = null;
    void flush();
    void tellDevice();
    next.request<OwnPresence>("get_own_presence", {}).then(adoptOwn, () => undefined);
  });
  onTouch();
  const touches = ["pointerdown", "keydown", "pointermove", "focus"] as const;
  for (const type of touches) addEventListener(type, onTouch, { passive: true, capture: true });
  const looking = setInterval(() => void tellDevice(), lookEveryMs);
  return () => {
    next.heard.delete(hear);
    stopLink();
    for (const type of touches) removeEventListener(type, onTouch, { capture: true });
    clearInterval(looking);
    ownStatus.value = null;
    store = null;
  };
}
