// Searching all messages: words, filters, or both. What is asked stands in the address, so that going back from a message
// brings the results again.
import { useEffect, useRef, useState } from "preact/hooks";
import { ArrowLeft, Search, SlidersHorizontal, WifiOff, X } from "lucide-preact";
import { errorText } from "../app/errors";
import { go, place } from "../app/router";
import type { Profile } from "../app/types";
import { t, type Key } from "../i18n/i18n";
import { PeoplePicker } from "../pages/people-picker";
import { Button, Field, IconButton, Note, Select } from "../ui/controls";
import { FoundRow } from "./found-row";
import { know, personOf, titleOf } from "./people";
import { addressOf, filterCount, find, isAsking, isTimeWrong, kinds, questionOf, today, type Found, type Question } from "./search";
import type { ChatStore } from "./store";

const typingPauseMs = 300;

interface Results extends Found {
  isBusy: boolean;
  problem: string;
  more: () => void;
}
const none: Found = { messages: [], cursor: "", isIndexing: false, isHere: false };

function useResults(store: ChatStore, q: Question): Results {
  const [found, setFound] = useState<Found>(none);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const asked = useRef(0);
  const isOpen = store.link.value === "open";
  const look = async (cursor: string) => {
    const mine = ++asked.current;
    setBusy(true);
    setProblem("");
    try {
      const page = await find(store, q, cursor);
      if (mine !== asked.current) return;
      setFound((before) => (cursor ? { ...page, messages: [...before.messages, ...page.messages] } : page));
    } catch (error) {
      if (mine === asked.current) setProblem(errorText(error));
    }
    if (mine === asked.current) setBusy(false);
  };
  const canAsk = isAsking(q) && !isTimeWrong(q);
  useEffect(() => {
    asked.current++;
    setProblem("");
    setBusy(canAsk);
    if (!canAsk) return setFound(none);
    const timer = setTimeout(() => void look(""), typingPauseMs);
    return () => clearTimeout(timer);
    // Back on line, the server is asked.
  }, [addressOf(q), isOpen]);
  return { ...found, isBusy, problem, more: () => void look(found.cursor) };
}

function Filters({ store, q, onChange }: { store: ChatStore; q: Question; onChange: (fields: Partial<Question>) => void }) {
  const sender = q.senderId ? personOf(q.senderId) : undefined;
  const pick = (people: Profile[]) => {
    const last = people[people.length - 1];
    if (last) know(last);
    onChange({ senderId: last?.id ?? "" });
  };
  const conversations = store.sorted.value.map((c) => ({ value: c.id, text: titleOf(c) }));
  if (q.id && !conversations.some((c) => c.value === q.id)) conversations.unshift({ value: q.id, text: t("chat.untitled") });
  return (
    <div class="search-filters">
      <PeoplePicker label={t("chat.filter.sender")} people={sender ? [sender] : []} onPeople={pick} />
      <Select label={t("chat.filter.conversation")} value={q.id} options={[{ value: "", text: t("chat.filter.anywhere") }, ...conversations]} onValue={(id) => onChange({ id })} />
      <Select
        label={t("chat.filter.kind")}
        value={q.kind}
        options={[{ value: "", text: t("chat.filter.anyKind") }, ...kinds.map((kind) => ({ value: kind, text: t(`chat.filter.kind_${kind}` as Key) }))]}
        onValue={(kind) => onChange({ kind })}
      />
      <Field type="date" label={t("chat.filter.from")} value={q.from} max={today()} error={isTimeWrong(q) ? t("chat.filter.wrongDays") : undefined} onValue={(from) => onChange({ from })} />
      <Field type="date" label={t("chat.filter.to")} value={q.to} max={today()} onValue={(to) => onChange({ to })} />
    </div>
  );
}

// Arrows go through the results, and from the field to the first of them.
function onArrows(e: KeyboardEvent & { currentTarget: HTMLElement }): void {
  const step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
  const from = e.target as HTMLElement;
  if (!step || e.altKey || e.isComposing || !(from instanceof HTMLAnchorElement || from.matches("input[type=search]"))) return;
  const stops = [...e.currentTarget.querySelectorAll<HTMLElement>("input[type=search], .found-list a")];
  const next = stops[stops.indexOf(from) + step];
  if (!next) return;
  e.preventDefault();
  next.focus();
}

function Results({ store, results: r, q }: { store: ChatStore; results: Results; q: Question }) {
  if (r.problem)
    return (
      <Note kind="bad" icon={WifiOff} role="alert">
        {r.problem}
      </Note>
    );
  if (!isAsking(q)) return <p class="chat-hint">{t(q.words.trim() ? "chat.searchMore" : "chat.filter.hint")}</p>;
  return (
    <>
      {r.isHere && (
        <Note kind="warn" icon={WifiOff}>
          {t("chat.foundHere")}
        </Note>
      )}
      {r.isIndexing && <p class="meta">{t("chat.foundIndexing")}</p>}
      <ul class="found-list">
        {r.messages.map((m) => (
          <FoundRow key={`${m.conversation_id} ${m.seq}`} store={store} message={m} isWhole />
        ))}
      </ul>
      {r.isBusy && <p class="chat-hint">{t("loading")}</p>}
      {!r.isBusy && r.cursor && (
        <Button isBlock onClick={r.more}>
          {t("chat.foundMore")}
        </Button>
      )}
      {!r.isBusy && !r.cursor && <p class="chat-hint">{t(r.messages.length ? "chat.foundEnd" : "chat.foundNone")}</p>}
    </>
  );
}

export default function SearchPage({ store }: { store: ChatStore }) {
  const q = questionOf(place.value.query);
  const { words } = q;
  const [areFiltersOpen, setFiltersOpen] = useState(() => filterCount(q) > 0 || matchMedia("(min-width: 721px)").matches);
  const field = useRef<HTMLInputElement>(null);
  const results = useResults(store, q);
  const change = (fields: Partial<Question>) => go(addressOf({ ...q, ...fields }), true);
  useEffect(() => field.current?.focus(), []);
  const count = filterCount(q);
  return (
    <section class="search-page" aria-label={t("chat.searchTitle")} onKeyDown={onArrows}>
      <header class="conversation-head">
        <IconButton icon={ArrowLeft} class="chat-back" label={t("chat.back")} onClick={() => go("/c")} />
        <h1 class="conversation-title grow">{t("chat.searchTitle")}</h1>
        {count > 0 && (
          <Button kind="quiet" onClick={() => change({ senderId: "", id: "", kind: "", from: "", to: "" })}>
            {t("chat.filter.clear")}
          </Button>
        )}
        <Button icon={SlidersHorizontal} aria-expanded={areFiltersOpen} onClick={() => setFiltersOpen(!areFiltersOpen)}>
          {count ? t("chat.filter.openCount", { count }) : t("chat.filter.open")}
        </Button>
      </header>
      <div class="search-body">
        <div class="chat-search">
          <Search size={18} aria-hidden="true" />
          <input
            ref={field}
            class="input"
            type="search"
            aria-label={t("chat.search")}
            placeholder={t("chat.search")}
            value={words}
            onInput={(e) => change({ words: e.currentTarget.value })}
          />
          {words && <IconButton icon={X} size={16} label={t("chat.searchEnd")} onClick={() => (change({ words: "" }), field.current?.focus())} />}
        </div>
        {areFiltersOpen && <Filters store={store} q={q} onChange={change} />}
        <p class="sr-only" role="status">
          {isAsking(q) && !results.isBusy ? t("chat.foundCount", { count: results.messages.length }) : ""}
        </p>
        <Results store={store} results={results} q={q} />
      </div>
    </section>
  );
}
