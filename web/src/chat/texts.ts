// Messages as one line: for the list, for quotes and for search results.
import { t } from "../i18n/i18n";
import type { Message } from "./types";

export function lineOf(m: Message): string {
  if (m.recalled_at_ms || !m.content) return t("chat.recalled");
  if (m.content.note) return m.content.note.text || t("chat.somethingHappened");
  return m.content.text || m.content.attachments?.[0]?.name || t("chat.attachment");
}
