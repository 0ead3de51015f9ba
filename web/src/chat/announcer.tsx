// Tells screen readers what others say while one is here, and nothing else: not the history, not what scrolling mounts.
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { nameOf } from "./people";
import type { ChatStore } from "./store";
import { lineOf } from "./texts";

// Of many at once the last ones are told.
const toldMost = 3;

export function Announcer({ store, id }: { store: ChatStore; id: string }) {
  const thread = store.threads.value.get(id);
  const isCertain = thread?.state === "ready" && !thread.isStale && !thread.log.hasNewer;
  const messages = isCertain ? thread.log.messages : null;
  const toldSeq = useRef(-1);
  const [lines, setLines] = useState<{ seq: number; text: string }[]>([]);
  useEffect(() => {
    if (!messages) return;
    const last = messages[messages.length - 1]?.seq ?? 0;
    const from = toldSeq.current;
    toldSeq.current = Math.max(from, last);
    if (from < 0 || last <= from) return;
    const fresh = messages.filter((m) => m.seq > from && m.sender_id !== store.me).slice(-toldMost);
    const told = fresh.map((m) => ({ seq: m.seq, text: m.sender_id ? t("chat.lineOf", { name: nameOf(m.sender_id), text: lineOf(m, store.me) }) : lineOf(m, store.me) }));
    if (told.length) setLines((before) => [...before, ...told].slice(-toldMost));
  }, [messages]);
  return (
    <div class="sr-only" role="log" aria-label={t("chat.announced")}>
      {lines.map((l) => (
        <p key={l.seq}>{l.text}</p>
      ))}
    </div>
  );
}
