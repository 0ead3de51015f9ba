// `/m/<code>`: the same address before, during and after a meeting. The meeting's own code is fetched while the person
// looks at the preview, so that joining does not wait for it.
import { useEffect, useState } from "preact/hooks";
import { CalendarX2, CircleAlert } from "lucide-preact";
import { ApiError, signedIn } from "../app/api";
import { useArrival } from "../app/arrival";
import { errorText } from "../app/errors";
import { previewMeeting, type JoinFields } from "../app/meetings";
import { place } from "../app/router";
import { useTitle } from "../app/title";
import type { JoinReply, MeetingPreview } from "../app/types";
import { loadMessages, t } from "../i18n/i18n";
import { LanguageSelect } from "../ui/language-select";
import { Button } from "../ui/controls";
import { Logo } from "../ui/logo";
import { toastError } from "../ui/toast";
import type { MeetingSession } from "../meeting/session";
import { Lobby } from "./lobby";

type MeetingModule = typeof import("../meeting/meeting");

function loadStyle(href: string): Promise<void> {
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    link.onload = () => resolve();
    link.onerror = () => reject(new ApiError("offline", "", "", 0));
    document.head.append(link);
  });
}

async function loadMeeting(): Promise<MeetingModule> {
  const [module] = await Promise.all([
    import("../meeting/meeting"),
    loadMessages("meeting"),
    loadStyle(__MEETING_CSS__),
  ]);
  return module;
}

export default function MeetingPage() {
  const code = decodeURIComponent(place.value.path.split("/")[2] ?? "");
  const invitation = place.value.query.get("i") ?? "";
  const [preview, setPreview] = useState<MeetingPreview | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const [module, setModule] = useState<MeetingModule | null>(null);
  const [session, setSession] = useState<MeetingSession | null>(null);
  const [isEntering, setEntering] = useState(false);
  useTitle(preview?.title ?? "");

  // Who is signed in decides what the preview tells, so it waits for that.
  const isKnown = signedIn.value !== undefined;
  useEffect(() => {
    if (!isKnown) return;
    setProblem(null);
    previewMeeting(code).then(setPreview, setProblem);
  }, [code, isKnown, signedIn.value?.user.id]);

  useEffect(() => {
    if (!preview) return;
    const timer = setTimeout(() => void loadMeeting().catch(() => undefined), 300);
    return () => clearTimeout(timer);
  }, [preview !== null]);

  useEffect(() => () => session?.leave("navigated"), [session]);

  const enter = async (reply: JoinReply, fields: JoinFields) => {
    setEntering(true);
    try {
      const loaded = await loadMeeting();
      setModule(loaded);
      setSession(loaded.enterMeeting(reply, fields));
    } catch (error) {
      toastError(error);
    }
    setEntering(false);
  };
  const again = () => {
    setSession(null);
    previewMeeting(code).then(setPreview, setProblem);
  };

  const phase = session?.phase.value;
  useArrival(phase === "inside" || phase === "over" ? phase : null);
  if (module && session && (phase === "inside" || phase === "over"))
    return phase === "inside" ? (
      <module.MeetingView session={session} />
    ) : (
      <module.AfterPage session={session} onRejoin={again} />
    );
  return (
    <div class="prejoin">
      <header class="prejoin-head">
        <a class="brand" href="/">
          <Logo size={28} />
          <span>Parlance</span>
        </a>
        <LanguageSelect />
      </header>
      <main class="prejoin-main">
        {problem ? (
          <NoMeeting problem={problem} onRetry={again} />
        ) : !preview ? (
          <Skeleton />
        ) : preview.state === "ended" ? (
          <Ended title={preview.title} />
        ) : (
          <Lobby
            preview={preview}
            invitation={invitation}
            isWaiting={phase === "waiting"}
            isEntering={isEntering || phase === "connecting"}
            onPreview={setPreview}
            onJoined={(reply, fields) => void enter(reply, fields)}
            onCancelWaiting={() => {
              session?.leave("left");
              setSession(null);
            }}
          />
        )}
      </main>
    </div>
  );
}

function Skeleton() {
  return (
    <div class="lobby" role="status" aria-busy="true" aria-label={t("loading")}>
      <div class="lobby-stage">
        <div class="preview" />
      </div>
      <div class="lobby-facts">
        <div class="bone bone-title" />
        <div class="bone" />
        <div class="bone" />
      </div>
    </div>
  );
}

function NoMeeting({ problem, onRetry }: { problem: unknown; onRetry: () => void }) {
  const isAbsent = problem instanceof ApiError && ["not_found", "invalid_argument"].includes(problem.code);
  return (
    <div class="lonely">
      <CircleAlert size={40} aria-hidden="true" />
      <h1>{t(isAbsent ? "lobby.absent" : "lobby.unreachable")}</h1>
      <p>{isAbsent ? t("lobby.absentText") : errorText(problem)}</p>
      {isAbsent ? (
        <a class="btn btn-primary" href="/">
          {t("home")}
        </a>
      ) : (
        <Button kind="primary" onClick={onRetry}>
          {t("retry")}
        </Button>
      )}
    </div>
  );
}

function Ended({ title }: { title: string }) {
  return (
    <div class="lonely">
      <CalendarX2 size={40} aria-hidden="true" />
      <h1>{title}</h1>
      <p>{t("lobby.ended")}</p>
      <a class="btn btn-primary" href="/">
        {t("home")}
      </a>
    </div>
  );
}
