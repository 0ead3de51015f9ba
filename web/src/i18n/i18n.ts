// The language of the page. Catalogues come in parts (core with the shell, pages, meeting, chat), each a chunk per language
// fetched when first needed; `t` reads the signal, so whatever shows a text is drawn anew when the language changes.
import { signal } from "@preact/signals";
import { readText, writeText } from "../app/storage";
import { evaluate, type Args, type Message } from "./format";

export type Language = "en" | "zh";
export type Part = "core" | "pages" | "meeting" | "chat";
export type Key =
  | keyof typeof import("./en/core.json")
  | keyof typeof import("./en/pages.json")
  | keyof typeof import("./en/meeting.json")
  | keyof typeof import("./en/chat.json");
type Catalogue = Record<string, Message>;

export const languages: { id: Language; name: string }[] = [
  { id: "en", name: "English" },
  { id: "zh", name: "中文" },
];

const loaders: Record<Language, Record<Part, () => Promise<{ default: unknown }>>> = {
  en: {
    core: () => import("./en/core.json"),
    pages: () => import("./en/pages.json"),
    meeting: () => import("./en/meeting.json"),
    chat: () => import("./en/chat.json"),
  },
  zh: {
    core: () => import("./zh/core.json"),
    pages: () => import("./zh/pages.json"),
    meeting: () => import("./zh/meeting.json"),
    chat: () => import("./zh/chat.json"),
  },
};

const storageKey = "parlance.language";
const wanted = new Set<Part>();
const state = signal<{ language: Language; messages: Catalogue }>({ language: "en", messages: {} });

export function language(): Language {
  return state.value.language;
}

// What Intl is asked for: the reader's own region where it fits the language.
export function locale(): string {
  const current = state.value.language;
  return navigator.languages.find((l) => l.toLowerCase().startsWith(current)) ?? (current === "zh" ? "zh-CN" : "en");
}

function initialLanguage(): Language {
  const stored = readText(storageKey);
  if (stored === "en" || stored === "zh") return stored;
  for (const l of navigator.languages) {
    if (l.toLowerCase().startsWith("zh")) return "zh";
    if (l.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

async function fetchPart(lang: Language, part: Part): Promise<Catalogue> {
  return (await loaders[lang][part]()).default as Catalogue;
}

// Makes the texts of a part available; views call it beside the import of their code.
export async function loadMessages(part: Part): Promise<void> {
  if (wanted.has(part)) return;
  const lang = state.value.language;
  const messages = await fetchPart(lang, part);
  wanted.add(part);
  if (state.value.language !== lang) return setLanguage(state.value.language, false);
  state.value = { language: lang, messages: { ...state.value.messages, ...messages } };
}

export async function setLanguage(lang: Language, isRemembered = true): Promise<void> {
  if (isRemembered) writeText(storageKey, lang);
  const parts = await Promise.all([...wanted].map((p) => fetchPart(lang, p)));
  state.value = { language: lang, messages: Object.assign({}, ...parts) as Catalogue };
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
}

// The language of the account, where nobody chose one in this browser. "en" is also what accounts have that never chose.
export function adoptLanguage(locale: string): void {
  const next = languages.find((l) => locale.toLowerCase().startsWith(l.id))?.id;
  if (!next || next === "en" || readText(storageKey) || next === state.peek().language) return;
  void setLanguage(next, false).catch(() => undefined);
}

export function startI18n(): Promise<void> {
  wanted.add("core");
  return setLanguage(initialLanguage(), false);
}

export function t(key: Key, args: Args = {}): string {
  const message = state.value.messages[key];
  return message === undefined ? key : evaluate(message, args, locale());
}

// For keys made at run time (error codes, roles): the text if there is one.
export function maybeText(key: string, args: Args = {}): string | undefined {
  const message = state.value.messages[key];
  return message === undefined ? undefined : evaluate(message, args, locale());
}
