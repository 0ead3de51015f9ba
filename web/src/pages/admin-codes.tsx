// Invitations to register: a link each, good for one account.
import { useEffect, useState } from "preact/hooks";
import { Copy, Mail, Plus, Trash2 } from "lucide-preact";
import { dropCode, listCodes, makeCode } from "../app/admin";
import { copyText } from "../app/clipboard";
import { dateTimeText } from "../app/dates";
import type { AccountInvitation } from "../app/types";
import { t } from "../i18n/i18n";
import { Button, Field, IconButton } from "../ui/controls";
import { toast, toastError } from "../ui/toast";

const linkOf = (code: string) => `${location.origin}/register?invitation=${encodeURIComponent(code)}`;

export function Codes() {
  const [codes, setCodes] = useState<AccountInvitation[]>([]);
  const [email, setEmail] = useState("");
  const [isBusy, setBusy] = useState(false);
  useEffect(() => void listCodes().then(setCodes, toastError), []);

  const make = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    try {
      const made = await makeCode(email.trim());
      setCodes([made, ...codes]);
      setEmail("");
      await copyText(linkOf(made.code), t("codes.made"));
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  const drop = async (code: string) => {
    try {
      await dropCode(code);
      setCodes(codes.filter((c) => c.code !== code));
      toast(t("codes.dropped"), "good");
    } catch (error) {
      toastError(error);
    }
  };
  return (
    <div class="form">
      <form class="inline-form" onSubmit={(e) => void make(e)} noValidate>
        <Field label={t("codes.for")} type="email" value={email} onValue={setEmail} autocomplete="off" maxLength={254} />
        <Button kind="primary" type="submit" icon={Plus} isBusy={isBusy}>
          {t("codes.make")}
        </Button>
      </form>
      {codes.length > 0 && (
        <ul class="rows">
          {codes.map((c) => (
            <li key={c.code} class="row-item">
              <Mail size={20} aria-hidden="true" />
              <span class="grow">
                {c.email || c.code}
                <span class="meta block">{t(c.used_by ? "codes.used" : "share.until", { date: dateTimeText(c.expires_at_ms) })}</span>
              </span>
              {!c.used_by && (
                <IconButton
                  icon={Copy}
                  label={t("codes.copy", { name: c.email || c.code })}
                  onClick={() => void copyText(linkOf(c.code), t("link.copied"))}
                />
              )}
              <IconButton icon={Trash2} label={t("codes.drop", { name: c.email || c.code })} onClick={() => void drop(c.code)} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
