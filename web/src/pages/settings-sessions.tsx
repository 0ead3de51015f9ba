// Where one is signed in, and ending what one does not know.
import { useEffect, useState } from "preact/hooks";
import { Laptop, LogOut, Smartphone } from "lucide-preact";
import { endSignIn, listSignIns } from "../app/account";
import { relativeText } from "../app/dates";
import { errorText } from "../app/errors";
import type { SignIn } from "../app/types";
import { t } from "../i18n/i18n";
import { Button } from "../ui/controls";
import { Confirm } from "../ui/dialog";
import { toast, toastError } from "../ui/toast";

// "Firefox on Linux", as the server names it, in the reader's language.
function deviceText(s: SignIn): string {
  const [browser, system] = s.device.split(" on ");
  if (browser && system) return t("sessions.device", { browser, system });
  return s.device || t("sessions.unknown");
}

function Row({ session: s, isBusy, onEnd }: { session: SignIn; isBusy: boolean; onEnd: () => void }) {
  const isPhone = /iPhone|Android|iPad/.test(s.device + s.user_agent);
  const Glyph = isPhone ? Smartphone : Laptop;
  return (
    <li class="row-item">
      <Glyph size={20} aria-hidden="true" />
      <span class="grow">
        {deviceText(s)}
        <span class="meta block">
          {s.remote_addr}
          {!s.is_current && ` · ${t("sessions.seen", { when: relativeText(s.last_seen_at_ms) })}`}
        </span>
      </span>
      {s.is_current ? (
        <span class="badge badge-good">{t("sessions.current")}</span>
      ) : (
        <Button disabled={isBusy} aria-label={t("sessions.endOf", { device: deviceText(s) })} onClick={onEnd}>
          {t("sessions.end")}
        </Button>
      )}
    </li>
  );
}

export function SignIns() {
  const [list, setList] = useState<SignIn[] | null>(null);
  const [problem, setProblem] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [isBusy, setBusy] = useState(false);

  const reload = () =>
    listSignIns().then(
      (all) => {
        setProblem("");
        setList([...all].sort((a, b) => Number(b.is_current) - Number(a.is_current) || b.last_seen_at_ms - a.last_seen_at_ms));
      },
      (error: unknown) => setProblem(errorText(error)),
    );
  useEffect(() => void reload(), []);

  const end = async (id: string) => {
    setBusy(true);
    try {
      await endSignIn(id);
      toast(t(id === "others" ? "sessions.endedOthers" : "sessions.ended"), "good");
      await reload();
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
    setAsking(false);
  };
  if (problem)
    return (
      <div class="form">
        <p>{problem}</p>
        <div>
          <Button onClick={() => void reload()}>{t("retry")}</Button>
        </div>
      </div>
    );
  if (!list) return <div class="skeleton" role="status" aria-label={t("loading")} />;
  return (
    <div class="form">
      <ul class="rows">
        {list.map((s) => (
          <Row key={s.id} session={s} isBusy={isBusy} onEnd={() => void end(s.id)} />
        ))}
      </ul>
      {list.length > 1 && (
        <div class="form-end">
          <Button icon={LogOut} disabled={isBusy} onClick={() => setAsking(true)}>
            {t("sessions.endOthers")}
          </Button>
        </div>
      )}
      {isAsking && (
        <Confirm
          title={t("sessions.endOthersTitle")}
          text={t("sessions.endOthersText")}
          action={t("sessions.endOthers")}
          isBusy={isBusy}
          onConfirm={() => void end("others")}
          onClose={() => setAsking(false)}
        />
      )}
    </div>
  );
}
