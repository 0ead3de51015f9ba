// Who fits the "@…" that is being typed: a list over the field, walked through with the arrows, taken with Enter or Tab.
import { useState } from "preact/hooks";
import { AtSign } from "lucide-preact";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { mayMentionAllIn } from "./may";
import { everybody, fitting, typedMention, type Named } from "./mentions";
import { nameOf, namesOf, personOf } from "./people";
import type { ChatStore } from "./store";

const shownMost = 8;
export const mentionListId = "mention-list";
const optionId = (i: number) => `mention-${i}`;

// Everybody who can be meant in a conversation; all of them at once only by those who may.
export function mentionable(store: ChatStore, id: string): Named[] {
  const c = store.conversations.value.get(id);
  if (!c || c.kind === "direct") return [];
  const members = (store.members.value.get(id) ?? []).filter((m) => m.user_id !== store.me);
  const people = members.map((m) => ({ id: m.user_id, names: namesOf(m.user_id, m.nickname) }));
  return !mayMentionAllIn(c) ? people : [...people, { id: everybody, names: [t("chat.everybody"), "all", "所有人"] }];
}

export interface Mentioning {
  found: Named[];
  at: number;
  // What the field says of itself while the list is open.
  aria: Record<string, string>;
  onKey: (e: KeyboardEvent) => boolean;
  look: (field: HTMLTextAreaElement) => void;
  close: () => void;
  pick: (p: Named) => void;
}

export function useMentions(people: Named[], onPick: (from: number, to: number, name: string) => void): Mentioning {
  const [typed, setTyped] = useState<{ from: number; caret: number; query: string } | null>(null);
  const [at, setAt] = useState(0);
  const found = typed ? fitting(people, typed.query, shownMost) : [];
  const isOpen = found.length > 0;

  const look = (field: HTMLTextAreaElement) => {
    const isCollapsed = field.selectionStart === field.selectionEnd;
    const next = isCollapsed ? typedMention(field.value, field.selectionStart) : null;
    if (next?.query !== typed?.query) setAt(0);
    setTyped(next && { ...next, caret: field.selectionStart });
  };
  const close = () => setTyped(null);
  const pick = (p: Named) => {
    if (typed) onPick(typed.from, typed.caret, p.names[0] ?? "");
    close();
  };
  const onKey = (e: KeyboardEvent): boolean => {
    if (!isOpen) return false;
    const chosen = found[at];
    if (e.key === "ArrowDown" || e.key === "ArrowUp") setAt((at + (e.key === "ArrowDown" ? 1 : found.length - 1)) % found.length);
    else if ((e.key === "Enter" || e.key === "Tab") && !e.shiftKey && chosen) pick(chosen);
    else if (e.key === "Escape") close();
    else return false;
    e.preventDefault();
    e.stopPropagation();
    return true;
  };
  const aria: Record<string, string> = isOpen ? { "aria-controls": mentionListId, "aria-activedescendant": optionId(at) } : {};
  return { found, at, aria, onKey, look, close, pick };
}

export function MentionList({ mentioning: { found, at, pick } }: { mentioning: Mentioning }) {
  if (!found.length) return null;
  return (
    <ul id={mentionListId} class="mention-list" role="listbox" aria-label={t("chat.mention")}>
      {found.map((p, i) => (
        <li
          key={p.id}
          id={optionId(i)}
          role="option"
          aria-selected={i === at}
          class="picker-option"
          onMouseDown={(e) => {
            e.preventDefault();
            pick(p);
          }}
        >
          {p.id === everybody ? (
            <>
              <span class="mention-all">
                <AtSign size={16} aria-hidden="true" />
              </span>
              <span>{t("chat.everybody")}</span>
              <span class="meta">{t("chat.everybodyHint")}</span>
            </>
          ) : (
            <>
              <Avatar name={nameOf(p.id)} url={personOf(p.id)?.avatar_url} size={28} />
              <span>{p.names[0]}</span>
              <span class="meta">@{personOf(p.id)?.username}</span>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}
