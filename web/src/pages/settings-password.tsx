// Changing the password: the server ends every other sign-in with it.
import { useState } from "preact/hooks";
import { CircleAlert } from "lucide-preact";
import { changePassword } from "../app/account";
import { signedIn } from "../app/api";
import { errorCode, errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { Button, focusProblem, Note, PasswordField } from "../ui/controls";
import { toast } from "../ui/toast";

const lengthMin = 8;

interface Problems {
  former?: string;
  next?: string;
  form?: string;
}

function problemOf(error: unknown): Problems {
  const isFormerWrong = errorCode(error) === "permission_denied";
  return isFormerWrong ? { former: t("passwordChange.wrong") } : { form: errorText(error) };
}

export function PasswordForm() {
  const [former, setFormer] = useState("");
  const [next, setNext] = useState("");
  const [problems, setProblems] = useState<Problems>({});
  const [isBusy, setBusy] = useState(false);

  const save = async (e: Event) => {
    e.preventDefault();
    const found: Problems = {};
    if (!former) found.former = t("passwordChange.formerMissing");
    if ([...next].length < lengthMin) found.next = t("register.badPassword", { min: lengthMin });
    else if (next === former) found.next = t("passwordChange.same");
    setProblems(found);
    const form = e.currentTarget;
    if (Object.keys(found).length) return focusProblem(form);
    setBusy(true);
    try {
      await changePassword(former, next);
      setFormer("");
      setNext("");
      toast(t("passwordChange.done"), "good");
    } catch (error) {
      setProblems(problemOf(error));
      focusProblem(form);
    }
    setBusy(false);
  };
  return (
    <form class="form" onSubmit={(e) => void save(e)} noValidate>
      {problems.form && (
        <Note kind="bad" icon={CircleAlert} role="alert">
          {problems.form}
        </Note>
      )}
      {/* Password managers want to know whose it is. */}
      <input type="text" name="username" autocomplete="username" value={signedIn.value?.user.username} readOnly hidden />
      <div class="form-pair">
        <PasswordField
          label={t("passwordChange.former")}
          value={former}
          onValue={setFormer}
          error={problems.former}
          autocomplete="current-password"
          maxLength={128}
        />
        <PasswordField
          label={t("passwordChange.next")}
          value={next}
          onValue={setNext}
          error={problems.next}
          hint={t("register.passwordHint", { min: lengthMin })}
          autocomplete="new-password"
          maxLength={128}
        />
      </div>
      <div class="form-end">
        <Button kind="primary" type="submit" isBusy={isBusy} disabled={!former && !next}>
          {t("passwordChange.submit")}
        </Button>
      </div>
    </form>
  );
}
