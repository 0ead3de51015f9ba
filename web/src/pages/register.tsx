// Making an account. The first one of a server becomes its administrator.
import { useState } from "preact/hooks";
import { CircleAlert } from "lucide-preact";
import { register, signedIn } from "../app/api";
import { errorText } from "../app/errors";
import { go, place, safePath } from "../app/router";
import { useTitle } from "../app/title";
import { locale, t } from "../i18n/i18n";
import { Button, Field, focusProblem, Note, PasswordField } from "../ui/controls";
import { AuthPage } from "./auth";

const namePattern = /^[a-z0-9._-]{3,32}$/i;
const passwordMin = 8;

interface Problems {
  username?: string;
  email?: string;
  password?: string;
  form?: string;
}

function check(username: string, email: string, password: string): Problems {
  const problems: Problems = {};
  if (!namePattern.test(username)) problems.username = t("register.badUsername");
  if (email && !/^[^\s@]+@[^\s@]+$/.test(email)) problems.email = t("register.badEmail");
  if ([...password].length < passwordMin) problems.password = t("register.badPassword", { min: passwordMin });
  return problems;
}

export default function Register() {
  const next = safePath(place.value.query.get("next"));
  const [nickname, setNickname] = useState("");
  const [username, setUsername] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [invitation, setInvitation] = useState(place.value.query.get("invitation") ?? "");
  const [isInvitationShown, showInvitation] = useState(invitation !== "");
  const [problems, setProblems] = useState<Problems>({});
  const [isBusy, setBusy] = useState(false);
  useTitle(t("register.title"));

  if (signedIn.value && !isBusy) queueMicrotask(() => go(next, true));

  const submit = async (e: Event) => {
    e.preventDefault();
    const found = check(username, email.trim(), password);
    setProblems(found);
    if (Object.keys(found).length) return focusProblem(e.currentTarget);
    setBusy(true);
    try {
      await register({
        username,
        password,
        email: email.trim(),
        nickname: nickname.trim(),
        invitation: invitation.trim(),
        locale: locale(),
        time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      });
      go(next, true);
    } catch (error) {
      setProblems({ form: errorText(error) });
      if (!isInvitationShown) showInvitation(/invit/i.test(error instanceof Error ? error.message : ""));
    }
    setBusy(false);
  };

  return (
    <AuthPage title={t("register.title")} text={t("register.lead")}>
      <form class="form" onSubmit={(e) => void submit(e)} noValidate>
        {problems.form && (
          <Note kind="bad" icon={CircleAlert} role="alert">
            {problems.form}
          </Note>
        )}
        <Field
          label={t("register.nickname")}
          value={nickname}
          onValue={setNickname}
          autocomplete="name"
          name="nickname"
          maxLength={64}
        />
        <Field
          label={t("register.username")}
          hint={t("register.usernameHint")}
          error={problems.username}
          value={username}
          onValue={setUsername}
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          name="username"
          maxLength={32}
          required
        />
        <Field
          label={t("register.email")}
          error={problems.email}
          value={email}
          onValue={setEmail}
          type="email"
          autocomplete="email"
          name="email"
        />
        <PasswordField
          label={t("password")}
          hint={t("register.passwordHint", { min: passwordMin })}
          error={problems.password}
          value={password}
          onValue={setPassword}
          autocomplete="new-password"
          name="password"
          maxLength={128}
          required
        />
        {isInvitationShown && (
          <Field label={t("register.invitation")} value={invitation} onValue={setInvitation} name="invitation" />
        )}
        <Button kind="primary" type="submit" isBlock isBusy={isBusy}>
          {t("register.submit")}
        </Button>
        {!isInvitationShown && (
          <Button kind="quiet" isBlock onClick={() => showInvitation(true)}>
            {t("register.haveInvitation")}
          </Button>
        )}
      </form>
      <p class="auth-other">
        {t("register.haveAccount")} <a href={`/login?next=${encodeURIComponent(next)}`}>{t("login.title")}</a>
      </p>
    </AuthPage>
  );
}
