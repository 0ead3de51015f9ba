// Who did what, to whom, when and from where; the newest first.
import { useEffect, useState } from "preact/hooks";
import { ChevronDown } from "lucide-preact";
import { readAudit } from "../app/admin";
import { call } from "../app/api";
import { dateTimeText } from "../app/dates";
import { errorText } from "../app/errors";
import type { AuditEntry, Profile } from "../app/types";
import { maybeText, t } from "../i18n/i18n";
import { Button } from "../ui/controls";
import { toastError } from "../ui/toast";
import { displayName } from "./people-picker";

const idPattern = /^[0-9A-HJKMNP-TV-Z]{26}$/;
const names = new Map<string, string>();

// The actions whose target is an account; others name a sign-in or a meeting, which tells a reader nothing.
const aboutAccounts = /^(registered|role_changed|email_changed|user_|password_)/;

async function withNames(entries: AuditEntry[]): Promise<AuditEntry[]> {
  const people = entries.flatMap((e) => (aboutAccounts.test(e.action) ? [e.actor_id, e.target] : [e.actor_id]));
  const ids = new Set(people.filter((id) => idPattern.test(id) && !names.has(id)));
  await Promise.all(
    [...ids].map((id) =>
      call<Profile>(`/users/${id}`).then(
        (user) => names.set(id, displayName(user)),
        () => names.set(id, ""),
      ),
    ),
  );
  return entries;
}

const nameOf = (id: string) => (idPattern.test(id) ? names.get(id) : id) ?? "";
const actionText = (action: string) => maybeText(`audit.${action}`) ?? action.replace(/_/g, " ");

export function Audit() {
  const [entries, setEntries] = useState<AuditEntry[] | null>(null);
  const [cursor, setCursor] = useState("");
  const [problem, setProblem] = useState("");
  const read = async (from: string) => {
    const page = await readAudit(from);
    const read = await withNames(page.entries ?? []);
    setEntries((known) => [...(from ? (known ?? []) : []), ...read]);
    setCursor(page.next_cursor ?? "");
  };
  useEffect(() => void read("").catch((error: unknown) => setProblem(errorText(error))), []);
  if (problem) return <p class="meta">{problem}</p>;
  if (!entries) return <div class="skeleton" role="status" aria-label={t("loading")} />;
  if (!entries.length) return <p class="meta">{t("audit.none")}</p>;
  return (
    <div class="form">
      <ul class="rows">
        {entries.map((e) => (
          <li key={e.id} class="row-item">
            <span class="grow">
              <span class="strong">{actionText(e.action)}</span>
              {nameOf(e.target) && nameOf(e.target) !== nameOf(e.actor_id) && ` · ${nameOf(e.target)}`}
              {e.detail && <span class="meta"> · {e.detail}</span>}
              <span class="meta block">{[dateTimeText(e.at_ms), nameOf(e.actor_id), e.remote_addr].filter(Boolean).join(" · ")}</span>
            </span>
          </li>
        ))}
      </ul>
      {cursor && (
        <Button kind="quiet" icon={ChevronDown} onClick={() => void read(cursor).catch(toastError)}>
          {t("more.older")}
        </Button>
      )}
    </div>
  );
}
