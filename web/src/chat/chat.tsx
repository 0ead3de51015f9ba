// The messages section: the list at the left, a conversation beside it; on phones one of them.
import { useEffect, useRef, useState } from "preact/hooks";
import { MessageSquare, WifiOff } from "lucide-preact";
import { go, place } from "../app/router";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Button } from "../ui/controls";
import { lazy } from "../ui/lazy";
import { useChatKeys } from "./chat-keys";
import { ConversationList } from "./list";
import { Conversation } from "./conversation";
import { keepPages } from "./offline";
import { chatStore } from "./current-store";
import type { ChatStore } from "./store";

const SearchPage = lazy(() => import("./search-page"));
const KeysDialog = lazy(() => import("./keys-dialog"));

// "/c/<conversation>", or "/c/u:<person>" before there is one.
function chosenId(path: string): string {
  try {
    return decodeURIComponent(/^\/c\/([^/]+)\/?$/.exec(path)?.[1] ?? "");
  } catch {
    return "";
  }
}

// A moment without connection is nothing to tell of.
const quietMs = 2_500;

function useIsCut(store: ChatStore): boolean {
  const isOpen = store.link.value === "open";
  const [isCut, setCut] = useState(false);
  useEffect(() => {
    if (isOpen) return setCut(false);
    const timer = setTimeout(() => setCut(true), quietMs);
    return () => clearTimeout(timer);
  }, [isOpen]);
  return isCut;
}

export default function Chat() {
  const [store] = useState(chatStore);
  const { path, query } = place.value;
  const chosen = chosenId(path);
  const id = store.moved.value.get(chosen) ?? chosen;
  const isCut = useIsCut(store);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const isSearch = /^\/search\/?$/.test(path);
  useTitle(t(isSearch ? "chat.searchTitle" : "chat.title"));
  useEffect(keepPages, []);

  useEffect(() => {
    if (id !== chosen) go(`/c/${id}`, true);
  }, [id, chosen]);

  useChatKeys(store, id, () => setHelpOpen(true), () => search.current?.focus());

  return (
    <div class={`chat${id || isSearch ? " has-open" : ""}`}>
      {isCut && (
        <div class="chat-cut" role="status">
          <WifiOff size={18} aria-hidden="true" />
          <span class="grow">{t("chat.cut")}</span>
          <Button kind="quiet" onClick={store.retryNow}>
            {t("retry")}
          </Button>
        </div>
      )}
      <div class="chat-body">
        <div class="chat-side">
          <ConversationList store={store} openId={id} searchRef={search} />
        </div>
        {isSearch ? (
          <SearchPage store={store} />
        ) : id ? (
          <Conversation key={id} store={store} id={id} atSeq={Number(query.get("at")) || 0} />
        ) : (
          <div class="chat-none">
            <MessageSquare size={40} aria-hidden="true" />
            <p>{t("chat.choose")}</p>
            <p class="meta chat-key-hint">
              <kbd>Ctrl</kbd> <kbd>K</kbd> {t("chat.key.switch")} · <kbd>?</kbd> {t("chat.keys")}
            </p>
          </div>
        )}
      </div>
      {isHelpOpen && <KeysDialog onClose={() => setHelpOpen(false)} />}
    </div>
  );
}
