// What an invitation link opens: whoever is not signed in does that first; then where it leads, and coming in.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Link2Off, UserPlus } from "lucide-preact";
import { signedIn } from "../app/api";
import { errorCode, errorText } from "../app/errors";
import { go } from "../app/router";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button } from "../ui/controls";
import { Logo } from "../ui/logo";
import { joinBy, joinPath, lookAt, tokenIn } from "./invitations";
import type { InviteLinkView } from "./types";

const keptAs = "parlance.join";

// The token goes with this tab through the sign-in, never through an address that a server sees.
function keptToken(): string {
  const token = tokenIn(location.hash);
  try {
    if (token) sessionStorage.setItem(keptAs, token);
    return token || (sessionStorage.getItem(keptAs) ?? "");
  } catch {
    return token;
  }
}

// It has done what it was for, or never will.
function dropToken(): void {
  try {
    sessionStorage.removeItem(keptAs);
  } catch {
    // nothing was kept
  }
}

function Lonely({ children }: { children: ComponentChildren }) {
  return (
    <main class="lonely">
      <Logo size={40} />
      {children}
    </main>
  );
}

function Bad() {
  return (
    <Lonely>
      <Link2Off size={40} aria-hidden="true" />
      <h1>{t("chat.link.bad")}</h1>
      <p>{t("chat.link.badText")}</p>
      <a class="btn btn-primary" href="/c">
        {t("chat.title")}
      </a>
    </Lonely>
  );
}

function useJoin(token: string) {
  const [view, setView] = useState<InviteLinkView | null>(null);
  const [isBad, setBad] = useState(false);
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const fail = (error: unknown) => {
    const isLost = errorCode(error) === "not_found" || errorCode(error) === "invalid_argument";
    if (!isLost) return setProblem(errorText(error));
    dropToken();
    setBad(true);
  };
  const isIn = Boolean(signedIn.value);
  const look = () => {
    setProblem("");
    return lookAt(token).then((seen) => {
      if (seen.is_member) dropToken();
      setView(seen);
    }, fail);
  };
  useEffect(() => {
    if (isIn && token) void look();
  }, [isIn, token]);
  const join = async () => {
    setBusy(true);
    setProblem("");
    try {
      const c = await joinBy(token);
      dropToken();
      if (c.own?.state === "active") go(`/c/${c.id}`, true);
      else if (view) setView({ ...view, hasAsked: true });
    } catch (error) {
      fail(error);
    }
    setBusy(false);
  };
  return { view, isBad: isBad || !token, problem, isBusy, join, look };
}

export default function JoinPage() {
  const token = useMemo(keptToken, [location.hash]);
  return <Join key={token} token={token} />; // another link in the same tab begins anew
}

function Join({ token }: { token: string }) {
  const who = signedIn.value;
  const { view, isBad, problem, isBusy, join, look } = useJoin(token);
  useTitle(t("chat.link.joinTitle"));
  useEffect(() => {
    if (who === null && token) go(`/login?next=${encodeURIComponent(joinPath)}`, true);
  }, [who, token]);
  if (isBad) return <Bad />;
  if (!view)
    return (
      <Lonely>
        <p role={problem ? "alert" : "status"}>{problem || t("loading")}</p>
        {problem && <Button onClick={() => void look()}>{t("retry")}</Button>}
      </Lonely>
    );
  return (
    <Lonely>
      <Avatar name={view.title} url={view.avatar_url} size={72} />
      <h1>{view.title}</h1>
      <p class="meta">{t("chat.memberCount", { count: view.member_count })}</p>
      {problem && <p role="alert">{problem}</p>}
      <Entry view={view} isBusy={isBusy} onJoin={() => void join()} />
    </Lonely>
  );
}

function Entry({ view, isBusy, onJoin }: { view: InviteLinkView; isBusy: boolean; onJoin: () => void }) {
  if (view.is_member)
    return (
      <>
        <p>{t("chat.link.member")}</p>
        <a class="btn btn-primary" href={`/c/${view.conversation_id}`}>
          {t("chat.link.open")}
        </a>
      </>
    );
  if (view.hasAsked)
    return (
      <>
        <p role="status">
          <strong>{t("chat.join.asked")}</strong>
        </p>
        <p>{t("chat.join.askedText")}</p>
      </>
    );
  return (
    <Button kind="primary" icon={UserPlus} isBusy={isBusy} onClick={onJoin}>
      {t(view.is_asking ? "chat.link.askJoin" : "chat.link.join")}
    </Button>
  );
}
