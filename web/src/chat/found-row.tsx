// A message that was found: who said it, where and when; leads to it.
import { dayText, shortDayText, timeText } from "../app/dates";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { nameOf, personOf, titleOf } from "./people";
import type { ChatStore } from "./store";
import { lineOf } from "./texts";
import type { Message } from "./types";

const dayMs = 86_400_000;

export function whenText(ms: number): string {
  return Date.now() - ms < dayMs && dayText(ms) === dayText(Date.now()) ? timeText(ms) : shortDayText(ms);
}

export function FoundRow({ store, message: m, isWhole = false }: { store: ChatStore; message: Message; isWhole?: boolean }) {
  const c = store.conversations.value.get(m.conversation_id);
  const who = m.sender_id === store.me ? t("chat.you") : nameOf(m.sender_id);
  // Between two, what one said oneself was said to the other.
  const where = c && (c.kind !== "direct" || m.sender_id === store.me) ? titleOf(c) : "";
  return (
    <li>
      <a class={`conv${isWhole ? " is-found" : ""}`} href={`/c/${m.conversation_id}?at=${m.seq}`}>
        <Avatar name={nameOf(m.sender_id)} url={personOf(m.sender_id)?.avatar_url} size={isWhole ? 40 : 32} />
        <span class="conv-body">
          <span class="conv-head">
            <span class="conv-title">{where ? `${who} · ${where}` : who}</span>
            <span class="meta conv-when">{whenText(m.created_at_ms)}</span>
          </span>
          <span class="conv-line">{lineOf(m, store.me)}</span>
        </span>
      </a>
    </li>
  );
}
