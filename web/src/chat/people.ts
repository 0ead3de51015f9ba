// Who is who: the profiles behind user ids, asked for once each.
import { signal } from "@preact/signals";
import { onAccountChange } from "../app/account-change";
import { call, signedIn } from "../app/api";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import type { Conversation } from "./types";

const profiles = signal<Map<string, Profile>>(new Map());
export const knownPeople: { readonly value: ReadonlyMap<string, Profile> } = profiles;
const asked = new Set<string>();
const askAgainMs = 20_000;
// What is remembered may be out of date, but that is not urgent.
const lookAgainMs = 5_000;

onAccountChange(() => {
  profiles.value = new Map();
  asked.clear();
});

// Remembered from another time: shown at once.
export function recallPeople(people: Profile[]): void {
  profiles.value = new Map([...people.map((p): [string, Profile] => [p.id, p]), ...profiles.value]);
}

export function know(...people: Profile[]): void {
  profiles.value = new Map([...profiles.value, ...people.map((p): [string, Profile] => [p.id, p])]);
  for (const p of people) asked.add(p.id);
}

// Of somebody whose profile cannot be had: a guest, or anybody in the eyes of one.
export function knowAs(id: string, name: string, avatarUrl: string): void {
  const before = profiles.peek().get(id);
  if (before?.nickname === name && before.avatar_url === avatarUrl) return;
  know({ id, username: name, nickname: name, avatar_url: avatarUrl } as Profile);
}

export function personOf(id: string): Profile | undefined {
  const known = id === signedIn.value?.user.id ? signedIn.value.user : profiles.value.get(id);
  if (id && id !== signedIn.value?.user.id && !asked.has(id)) {
    asked.add(id);
    setTimeout(() => ask(id), known ? lookAgainMs : 0);
  }
  return known;
}

function ask(id: string): void {
  call<Profile>(`/users/${encodeURIComponent(id)}`).then(
    (p) => know(p),
    () => setTimeout(() => asked.delete(id), askAgainMs),
  );
}

export function nameOf(id: string): string {
  const p = personOf(id);
  return p ? p.nickname || p.username : "…";
}

// All that a person is called; `here`: the nickname in a group.
export function namesOf(id: string, here = ""): string[] {
  const p = personOf(id);
  return [...new Set([here, p?.nickname ?? "", p?.username ?? ""])].filter(Boolean);
}

export function titleOf(c: Conversation): string {
  return c.kind === "direct" ? nameOf(c.peer_id) : c.title || t("chat.untitled");
}

export function pictureOf(c: Conversation): string | undefined {
  return c.kind === "direct" ? personOf(c.peer_id)?.avatar_url : c.avatar_url;
}
