// Ctrl+K: to any conversation or person by a few letters.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Search } from "lucide-preact";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { displayName, useUserSearch } from "../pages/people-picker";
import { Avatar } from "../ui/avatar";
import { chatStore } from "./current-store";
import { inboxOf, isUnread } from "./inbox";
import { pictureOf, titleOf } from "./people";

interface Place {
  id: string;
  to: string;
  name: string;
  picture: string | undefined;
  hint: string;
}

const conversationsMost = 12;

// Every letter typed, in this order; the beginning of a word counts most.
export function rankOf(name: string, query: string): number {
  const [n, q] = [name.toLowerCase(), query.toLowerCase()];
  if (n.startsWith(q)) return 0;
  if (n.split(/[\s._-]+/).some((word) => word.startsWith(q))) return 1;
  if (n.includes(q)) return 2;
  let at = 0;
  for (const c of q) {
    at = n.indexOf(c, at) + 1;
    if (!at) return Infinity;
  }
  return 3;
}

function usePlaces(q: string): Place[] {
  const store = chatStore();
  const all = [...inboxOf(store.sorted.value), ...store.sorted.value.filter((c) => c.own?.is_archived)];
  const ranked = all.map((c) => ({ c, rank: q ? rankOf(titleOf(c), q) : isUnread(c) ? 0 : 1 })).filter((r) => r.rank < Infinity);
  const conversations = ranked.sort((a, b) => a.rank - b.rank).slice(0, conversationsMost).map(({ c }): Place => ({
    id: c.id, to: `/c/${c.id}`, name: titleOf(c), picture: pictureOf(c), hint: c.own?.unread_count ? t("chat.unreadCount", { count: c.own.unread_count }) : "",
  }));
  const peers = new Set(all.map((c) => c.peer_id));
  const people = useUserSearch(q).filter((p) => p.id !== store.me && !peers.has(p.id));
  return [...conversations, ...people.map((p): Place => ({ id: p.id, to: `/c/u:${p.id}`, name: displayName(p), picture: p.avatar_url, hint: `@${p.username}` }))];
}

export default function Switcher({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const q = text.trim();
  const places = usePlaces(q);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      dialog.current?.close();
      if (before instanceof HTMLElement && before.isConnected && before !== document.body) before.focus();
    };
  }, []);
  useEffect(() => {
    document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const pick = (p: Place | undefined) => {
    if (!p) return;
    onClose();
    go(p.to);
  };
  const onKey = (e: KeyboardEvent) => {
    e.stopPropagation();
    if (e.isComposing) return;
    if (e.key === "Enter") pick(places[at]);
    else if ((e.key === "ArrowDown" || e.key === "ArrowUp") && places.length) setAt((at + (e.key === "ArrowDown" ? 1 : places.length - 1)) % places.length);
    else if (e.key.toLowerCase() === "k" && (e.ctrlKey || e.metaKey)) onClose();
    else return;
    e.preventDefault();
  };
  return (
    <dialog
      ref={dialog}
      class="dialog switcher"
      aria-label={t("chat.switch")}
      onCancel={(e) => (e.preventDefault(), onClose())}
      onMouseDown={(e) => e.target === dialog.current && onClose()}
      onKeyDown={onKey}
    >
      <div class="dialog-inner">
        <div class="chat-search">
          <Search size={18} aria-hidden="true" />
          <input
            class="input"
            role="combobox"
            aria-expanded={places.length > 0}
            aria-controls={`${id}-list`}
            aria-activedescendant={places.length ? `${id}-${at}` : undefined}
            aria-autocomplete="list"
            aria-label={t("chat.switch")}
            placeholder={t("chat.switchTo")}
            autocomplete="off"
            autofocus
            value={text}
            onInput={(e) => (setText(e.currentTarget.value), setAt(0))}
          />
        </div>
        <ul id={`${id}-list`} class="switcher-list" role="listbox" aria-label={t("chat.switch")}>
          {places.map((p, i) => (
            <li key={p.id} id={`${id}-${i}`} role="option" aria-selected={i === at} class="picker-option" onMouseDown={(e) => (e.preventDefault(), pick(p))}>
              <Avatar name={p.name} url={p.picture} size={28} />
              <span class="grow">{p.name}</span>
              <span class="meta">{p.hint}</span>
            </li>
          ))}
        </ul>
        {!places.length && <p class="chat-hint">{t("chat.foundNone")}</p>}
      </div>
    </dialog>
  );
}

