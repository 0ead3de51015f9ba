// The conversations, the latest first, with what is unread; and the search over all of them.
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Archive, ArrowLeft, BellOff, Contact, MessageSquarePlus, Pin, Search, SlidersHorizontal, Users, X } from "lucide-preact";
import { go } from "../app/router";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, IconButton } from "../ui/controls";
import { lazy } from "../ui/lazy";
import { toastError } from "../ui/toast";
import { FewRows } from "./few-rows";
import { FoundRow, whenText } from "./found-row";
import { ConversationMenu } from "./conversation-menu";
import { inboxOf, isQuiet } from "./inbox";
import { useOffers } from "./invitations";
import { NewChat } from "./new-chat";
import { NoticeOffer } from "./notice-offer";
import { Offers } from "./offers";
import { nameOf, pictureOf, titleOf } from "./people";
import { PresenceDot } from "./presence-dot";
import { addressOf, find, lettersMin, type Found as Answer, type Question } from "./search";
import type { ChatStore } from "./store";
import { contentLine, lineOf } from "./texts";
import type { Conversation } from "./types";

const ContactsDialog = lazy(() => import("./contacts-dialog"));
const typingPauseMs = 250;
const rowPx = 60;
const nothing: Answer = { messages: [], cursor: "", isIndexing: false, isHere: false };

const wordsOnly = (words: string): Question => ({ words, senderId: "", id: "", kind: "", from: "", to: "" });

function lastLine(store: ChatStore, c: Conversation): string {
  const waiting = store.box.value.filter((o) => o.to === c.id && o.state !== "sent");
  const last = waiting[waiting.length - 1];
  const isCut = store.link.value !== "open";
  const state = last?.state === "failed" ? "chat.notSent" : isCut ? "chat.queued" : "chat.sending";
  if (last) return t("chat.lineOf", { name: t(state), text: contentLine(last.content) });
  const m = c.last_message;
  if (!m) return "";
  if (m.content?.note || m.recalled_at_ms) return lineOf(m, store.me);
  const isNamed = m.sender_id === store.me || c.kind !== "direct";
  return isNamed ? t("chat.lineOf", { name: m.sender_id === store.me ? t("chat.you") : nameOf(m.sender_id), text: lineOf(m, store.me) }) : lineOf(m, store.me);
}

function Row({ store, c, isOpen }: { store: ChatStore; c: Conversation; isOpen: boolean }) {
  const count = c.own?.unread_count ?? 0;
  const mentions = c.own?.mention_count ?? 0;
  const isUnread = count > 0 || c.own?.is_marked_unread;
  const title = titleOf(c);
  const quiet = isQuiet(c, Date.now());
  const draft = isOpen ? "" : store.draftOf(c.id).trim();
  return (
    <li class="conv-item">
      <a href={`/c/${c.id}`} class={`conv${isUnread ? " is-unread" : ""}`} aria-current={isOpen ? "page" : undefined}>
        <span class="with-dot">
          <Avatar name={title} url={pictureOf(c)} size={44} />
          {c.kind === "direct" && <PresenceDot id={c.peer_id} />}
        </span>
        <span class="conv-body">
          <span class="conv-head">
            <span class="conv-title">{title}</span>
            {c.active_at_ms > 0 && <span class="meta conv-when">{whenText(c.active_at_ms)}</span>}
          </span>
          <span class="conv-head">
            <span class="conv-line">
              {draft ? (
                <>
                  <span class="conv-draft">{t("chat.draft")}</span> {draft}
                </>
              ) : (
                lastLine(store, c)
              )}
            </span>
            {c.own?.is_pinned && <Pin class="conv-sign" size={14} aria-label={t("chat.pinned")} />}
            {quiet && <BellOff class="conv-sign" size={14} aria-label={t("chat.quietNow")} />}
            {mentions > 0 && (
              <span class="badge is-mention" title={t("chat.mentionCount", { count: mentions })}>
                <span aria-hidden="true">@</span>
                <span class="sr-only">{t("chat.mentionCount", { count: mentions })}</span>
              </span>
            )}
            {isUnread && (
              <span class={`badge${quiet ? " is-quiet" : ""}`}>
                <span aria-hidden="true">{count > 99 ? "99+" : count || ""}</span>
                <span class="sr-only">{t("chat.unreadCount", { count })}</span>
              </span>
            )}
          </span>
        </span>
      </a>
      <ConversationMenu store={store} c={c} class="conv-menu" />
    </li>
  );
}

function useSearch(store: ChatStore, q: string): Answer | null {
  const [found, setFound] = useState<Answer | null>(null);
  useEffect(() => {
    setFound(null);
    if ([...q].length < lettersMin) return;
    let isStale = false;
    const timer = setTimeout(() => {
      find(store, wordsOnly(q)).then(
        (answer) => isStale || setFound(answer),
        (e) => isStale || (setFound(nothing), toastError(e)),
      );
    }, typingPauseMs);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [q, store.link.value === "open"]);
  return found;
}

function Found({ store, q }: { store: ChatStore; q: string }) {
  const found = useSearch(store, q);
  const byName = store.sorted.value.filter((c) => titleOf(c).toLowerCase().includes(q.toLowerCase()));
  return (
    <>
      <a class="btn btn-quiet btn-block search-all" href={addressOf(wordsOnly(q))}>
        <SlidersHorizontal size={18} aria-hidden="true" />
        {t("chat.searchAll")}
      </a>
      {byName.length > 0 && (
        <>
          <h2 class="chat-part">{t("chat.foundConversations")}</h2>
          <ul>
            {byName.slice(0, 8).map((c) => (
              <Row key={c.id} store={store} c={c} isOpen={false} />
            ))}
          </ul>
        </>
      )}
      <h2 class="chat-part">{t("chat.foundMessages")}</h2>
      {found?.isHere && <p class="meta chat-part">{t("chat.foundHere")}</p>}
      {[...q].length < lettersMin ? (
        <p class="chat-hint">{t("chat.searchMore")}</p>
      ) : found === null ? (
        <p class="chat-hint">{t("loading")}</p>
      ) : !found.messages.length ? (
        <p class="chat-hint">{t("chat.foundNone")}</p>
      ) : (
        <ul>
          {found.messages.map((m) => (
            <FoundRow key={`${m.conversation_id} ${m.seq}`} store={store} message={m} />
          ))}
        </ul>
      )}
      {found?.cursor && (
        <a class="btn btn-quiet btn-block" href={addressOf(wordsOnly(q))}>
          {t("chat.foundMore")}
        </a>
      )}
    </>
  );
}

// What was put away long ago may not be on this page yet.
async function loadArchive(store: ChatStore): Promise<void> {
  const reply = await store.request<{ conversations?: Conversation[] }>("get_conversations", { is_archived: true, limit: 200 });
  (reply.conversations ?? []).forEach((c) => store.adopt(c));
}

interface ListProps {
  store: ChatStore;
  openId: string;
  searchRef: RefObject<HTMLInputElement>;
}

export function ConversationList({ store, openId, searchRef }: ListProps) {
  const [text, setText] = useState("");
  const [dialog, setDialog] = useState<"person" | "group" | "contacts" | null>(null);
  const q = text.trim();
  const [isArchive, setArchive] = useState(false);
  const offers = useOffers(store);
  const all = store.sorted.value;
  const archived = all.filter((c) => c.own?.is_archived);
  const list = isArchive ? archived : inboxOf(all);
  const openArchive = () => {
    setArchive(true);
    void loadArchive(store).catch(toastError);
  };
  return (
    <>
      <div class="chat-side-head">
        <h1>{t("chat.title")}</h1>
        <IconButton icon={Users} label={t("chat.newGroup")} onClick={() => setDialog("group")} />
        <IconButton icon={Contact} label={t("chat.contacts")} onClick={() => setDialog("contacts")} />
        <IconButton icon={MessageSquarePlus} label={t("chat.newChat")} onClick={() => setDialog("person")} />
      </div>
      <div class="chat-search">
        <Search size={18} aria-hidden="true" />
        <input
          ref={searchRef}
          class="input"
          type="search"
          aria-label={t("chat.search")}
          placeholder={t("chat.search")}
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
          onKeyDown={(e) => e.key === "Escape" && setText("")}
        />
        {text && <IconButton icon={X} size={16} label={t("chat.searchEnd")} onClick={() => setText("")} />}
      </div>
      <NoticeOffer store={store} />
      <nav class="chat-list" aria-label={t("chat.list")} aria-busy={!store.isLoaded.value}>
        {!isArchive && !q && <Offers store={store} offers={offers} />}
        {isArchive && !q && (
          <Button kind="quiet" icon={ArrowLeft} onClick={() => setArchive(false)}>
            {t("chat.archiveEnd")}
          </Button>
        )}
        {q ? (
          <Found store={store} q={q} />
        ) : list.length ? (
          <FewRows items={list} guessPx={rowPx} row={(c) => <Row key={c.id} store={store} c={c} isOpen={c.id === openId} />} />
        ) : isArchive || all.length ? (
          <p class="chat-hint">{t(isArchive ? "chat.archiveNone" : "chat.inboxNone")}</p>
        ) : store.isLoaded.value ? (
          <div class="empty">
            <h2>{t("chat.empty")}</h2>
            <p>{t("chat.emptyText")}</p>
            <Button kind="primary" icon={MessageSquarePlus} onClick={() => setDialog("person")}>
              {t("chat.newChat")}
            </Button>
          </div>
        ) : (
          <p class="chat-hint">{t("loading")}</p>
        )}
        {!q && !isArchive && (
          <Button kind="quiet" icon={Archive} isBlock class="chat-archive" onClick={openArchive}>
            {t("chat.archiveOpen")}
          </Button>
        )}
        {!q && store.hasMore.value && (
          <Button kind="quiet" isBlock onClick={() => void store.loadMore().catch(toastError)}>
            {t("chat.more")}
          </Button>
        )}
      </nav>
      {dialog === "contacts" && <ContactsDialog store={store} onClose={() => setDialog(null)} />}
      {dialog && dialog !== "contacts" && (
        <NewChat store={store} isGroup={dialog === "group"} onClose={() => setDialog(null)} onMade={(id) => (setDialog(null), go(`/c/${id}`))} />
      )}
    </>
  );
}
