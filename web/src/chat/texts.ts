// Messages as one line: for the list, for quotes and for search results.
import { t } from "../i18n/i18n";
import { noteText } from "./notes";
import { nameOf } from "./people";
import { plainText } from "./markup";
import type { Content, Message } from "./types";

// More than a line holds.
const lettersMost = 300;

export function contentLine(content: Content): string {
  if (content.note) return noteText(content.note);
  if (content.text) return plainText(content.text.slice(0, lettersMost)).replace(/\s+/g, " ");
  switch (content.kind) {
    case "image":
      return t("chat.kind.image", { count: content.attachments?.length ?? 1 });
    case "voice":
      return t("chat.kind.voice");
    case "video":
      return t("chat.kind.video");
    case "location":
      return content.location?.name || t("chat.kind.location");
    case "card":
      return t("chat.kind.card", { name: nameOf(content.card_user_id ?? "") });
    default:
      return content.attachments?.[0]?.name || t("chat.attachment");
  }
}

// What stands in the place of a message that was taken back.
export function recalledText(m: Message, me: string): string {
  if (!m.recalled_by || m.recalled_by === m.sender_id)
    return m.sender_id === me ? t("chat.recalledMine") : t("chat.recalledBy", { name: nameOf(m.sender_id) });
  return m.recalled_by === me ? t("chat.removedMine", { name: nameOf(m.sender_id) }) : t("chat.removedBy", { name: nameOf(m.recalled_by) });
}

export function lineOf(m: Message, me = ""): string {
  return m.recalled_at_ms || !m.content ? recalledText(m, me) : contentLine(m.content);
}
