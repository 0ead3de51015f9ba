// Signing in with name or e-mail and password.
import { useState } from "preact/hooks";
import { CircleAlert } from "lucide-preact";
import { signedIn, signIn } from "../app/api";
import { errorCode, errorText } from "../app/errors";
import { go, place, safePath } from "../app/router";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Button, Field, Note, PasswordField } from "../ui/controls";
import { AuthPage } from "./auth";

export default function Login() {
  const next = safePath(place.value.query.get("next"));
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  useTitle(t("login.title"));

  // Somebody who is signed in already has nothing to do here.
  if (signedIn.value && !isBusy) queueMicrotask(() => go(next, true));

  const submit = async (e: Event) => {
    e.preventDefault();
    if (!login.trim() || !password) {
      setProblem(t("login.incomplete"));
      return;
    }
    setBusy(true);
    setProblem("");
    try {
      await signIn(login.trim(), password);
      go(next, true);
    } catch (error) {
      setProblem(errorCode(error) === "unauthenticated" ? t("login.wrong") : errorText(error));
    }
    setBusy(false);
  };

  return (
    <AuthPage title={t("login.title")} text={t("login.lead")}>
      <form class="form" onSubmit={(e) => void submit(e)} noValidate>
        {problem && (
          <Note kind="bad" icon={CircleAlert} role="alert">
            {problem}
          </Note>
        )}
        <Field
          label={t("login.name")}
          value={login}
          onValue={setLogin}
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          name="login"
          required
        />
        <PasswordField
          label={t("password")}
          value={password}
          onValue={setPassword}
          autocomplete="current-password"
          name="password"
          required
        />
        <Button kind="primary" type="submit" isBlock isBusy={isBusy}>
          {t("login.submit")}
        </Button>
      </form>
      <p class="auth-other">
        {t("login.noAccount")} <a href={`/register?next=${encodeURIComponent(next)}`}>{t("register.title")}</a>
      </p>
    </AuthPage>
  );
}
