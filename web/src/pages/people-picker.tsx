// Finding accounts by name: a text field with suggestions, and the chosen ones as chips above.
import { useEffect, useId, useState } from "preact/hooks";
import { X } from "lucide-preact";
import { searchUsers } from "../app/meetings";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { IconButton } from "../ui/controls";

const lettersMin = 2;
const typingPauseMs = 200;

export function displayName(user: Profile): string {
  return user.nickname || user.username;
}

// Accounts that fit what is typed, a moment after the last key.
export function useUserSearch(q: string): Profile[] {
  const [found, setFound] = useState<Profile[]>([]);
  useEffect(() => {
    if ([...q.trim()].length < lettersMin) {
      setFound([]);
      return;
    }
    let isStale = false;
    const timer = setTimeout(() => {
      searchUsers(q.trim()).then(
        (users) => isStale || setFound(users),
        () => isStale || setFound([]),
      );
    }, typingPauseMs);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [q]);
  return found;
}

interface PickerProps {
  label: string;
  people: Profile[];
  onPeople: (people: Profile[]) => void;
}

export function PeoplePicker({ label, people, onPeople }: PickerProps) {
  const id = useId();
  const [q, setQ] = useState("");
  const [at, setAt] = useState(0);
  const found = useUserSearch(q).filter((u) => !people.some((p) => p.id === u.id));
  const isOpen = q.trim() !== "" && found.length > 0;

  const pick = (user: Profile) => {
    onPeople([...people, user]);
    setQ("");
    setAt(0);
  };
  const onKey = (e: KeyboardEvent) => {
    if (e.key === "Backspace" && !q) onPeople(people.slice(0, -1));
    if (!isOpen) return;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setAt((at + (e.key === "ArrowDown" ? 1 : found.length - 1)) % found.length);
    } else if (e.key === "Enter") {
      const user = found[at];
      e.preventDefault();
      if (user) pick(user);
    } else if (e.key === "Escape") {
      e.preventDefault();
      setQ("");
    }
  };

  return (
    <div class="field">
      <label for={id} class="field-label">
        {label}
      </label>
      {people.length > 0 && (
        <ul class="chips">
          {people.map((p) => (
            <li key={p.id} class="chip">
              <Avatar name={displayName(p)} url={p.avatar_url} size={24} />
              {displayName(p)}
              <IconButton
                icon={X}
                size={14}
                label={t("picker.remove", { name: displayName(p) })}
                onClick={() => onPeople(people.filter((x) => x.id !== p.id))}
              />
            </li>
          ))}
        </ul>
      )}
      <div class="picker">
        <input
          id={id}
          class="input"
          role="combobox"
          aria-expanded={isOpen}
          aria-controls={isOpen ? `${id}-list` : undefined}
          aria-activedescendant={isOpen ? `${id}-${at}` : undefined}
          aria-autocomplete="list"
          autocomplete="off"
          placeholder={t("picker.placeholder")}
          value={q}
          onInput={(e) => {
            setQ(e.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKey}
        />
        {isOpen && (
          <ul id={`${id}-list`} class="picker-list" role="listbox" aria-label={label}>
            {found.map((u, i) => (
              <li
                key={u.id}
                id={`${id}-${i}`}
                role="option"
                aria-selected={i === at}
                class="picker-option"
                onMouseDown={(e) => {
                  e.preventDefault();
                  pick(u);
                }}
              >
                <Avatar name={displayName(u)} url={u.avatar_url} size={28} />
                <span>{displayName(u)}</span>
                <span class="meta">@{u.username}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}
