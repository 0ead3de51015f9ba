// How somebody is, as a dot and in words. The dots differ in shape too, not only in colour.
import { relativeText } from "../app/dates";
import type { Status } from "../app/own-status";
import { t } from "../i18n/i18n";
import { presenceOf, type Presence } from "./presence";

export function statusName(status: Status): string {
  switch (status) {
    case "online":
      return t("chat.status.online");
    case "away":
      return t("chat.status.away");
    case "busy":
      return t("chat.status.busy");
    case "do_not_disturb":
      return t("chat.status.doNotDisturb");
    default:
      return t("chat.status.offline");
  }
}

export function sayingOf(p: Presence | undefined): string {
  if (!p || (p.text_until_ms && p.text_until_ms < Date.now())) return "";
  return [p.emoji, p.text].filter(Boolean).join(" ");
}

// "🌴 On holiday", "Away", "Last seen 2 hours ago"; "" as long as nothing is known.
export function presenceText(p: Presence | undefined): string {
  if (!p) return "";
  if (p.is_unknown) return sayingOf(p);
  const seen = p.last_seen_ms ? t("chat.status.lastSeen", { when: relativeText(p.last_seen_ms) }) : statusName(p.status);
  return [p.status === "offline" ? seen : statusName(p.status), sayingOf(p)].filter(Boolean).join(" · ");
}

export function PresenceDot({ id }: { id: string }) {
  const p = presenceOf(id);
  if (!p || p.status === "offline") return null;
  return <span class={`dot is-${p.status}`} role="img" aria-label={statusName(p.status)} title={presenceText(p)} />;
}
