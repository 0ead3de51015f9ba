// Which view a path means, and whether one must be signed in for it.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { WifiOff } from "lucide-preact";
import { loadMessages, t, type Part } from "../i18n/i18n";
import { Button } from "../ui/controls";
import { Logo } from "../ui/logo";
import { Toasts } from "../ui/toast";
import { signedIn } from "./api";
import { useArrival } from "./arrival";
import { go, place } from "./router";
import { Shell, type Tab } from "./shell";

interface View {
  load: () => Promise<{ default: ComponentType }>;
  parts?: Part[];
  // Drawn inside the shell, for the signed-in alone.
  tab?: Tab;
}

const views = {
  meet: { load: () => import("../prejoin/prejoin") },
  home: { load: () => import("../pages/home"), parts: ["pages"], tab: "meetings" },
  chat: { load: () => import("../chat/chat"), parts: ["pages", "chat"], tab: "messages" },
  join: { load: () => import("../chat/join-page"), parts: ["pages", "chat"] },
  settings: { load: () => import("../pages/settings"), parts: ["pages"], tab: "settings" },
  admin: { load: () => import("../pages/admin"), parts: ["pages"], tab: "admin" },
  login: { load: () => import("../pages/login"), parts: ["pages"] },
  register: { load: () => import("../pages/register"), parts: ["pages"] },
} satisfies Record<string, View>;

function viewOf(path: string): View | null {
  if (path === "/") return views.home;
  if (/^\/m\/[^/]+\/?$/.test(path)) return views.meet;
  if (/^\/(c(\/[^/]*)?|search)\/?$/.test(path)) return views.chat;
  const name = /^\/([a-z]+)\/?$/.exec(path)?.[1] ?? "";
  return Object.hasOwn(views, name) && !["meet", "home", "chat"].includes(name) ? views[name as keyof typeof views] : null;
}

// Fetches the code of a view while the texts are still on their way.
export function preload(path: string): void {
  viewOf(path)?.load().catch(() => undefined); // asked again, and told of, when it is drawn
}

const loaded = new Map<View, ComponentType>();

async function load(view: View): Promise<ComponentType> {
  const [module] = await Promise.all([view.load(), ...(view.parts ?? []).map(loadMessages)]);
  loaded.set(view, module.default);
  return module.default;
}

function useView(view: View | null): { Content: ComponentType | null; isFailed: boolean; retry: () => void } {
  const [, redraw] = useState(0);
  const [isFailed, setFailed] = useState(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!view || loaded.has(view)) return;
    setFailed(false);
    load(view).then(
      () => redraw((n) => n + 1),
      () => setFailed(true),
    );
  }, [view, attempt]);
  return { Content: (view && loaded.get(view)) ?? null, isFailed, retry: () => setAttempt(attempt + 1) };
}

export function App() {
  const { path, query } = place.value;
  const view = viewOf(path);
  const who = signedIn.value;
  const needsSignIn = view?.tab !== undefined && who === null;
  const isForm = view === views.login || view === views.register;
  const { Content, isFailed, retry } = useView(needsSignIn ? null : view);
  useArrival(Content ? path : null);

  useEffect(() => {
    if (needsSignIn) go(`/login?next=${encodeURIComponent(path + location.search)}`, true);
  }, [needsSignIn, path, query]);

  return (
    <>
      {isFailed ? (
        <Failed onRetry={retry} />
      ) : !view ? (
        <NotFound />
      ) : !Content || (view.tab && !who) || (isForm && who === undefined) ? (
        <Splash />
      ) : view.tab ? (
        // Nothing that one account's pages hold is drawn for the next.
        <Shell key={who?.user.id} tab={view.tab}>
          <Content />
        </Shell>
      ) : (
        <Content key={path} />
      )}
      <Toasts />
    </>
  );
}

function Splash() {
  return (
    <div class="splash" aria-busy="true">
      <Logo size={48} />
    </div>
  );
}

function NotFound() {
  return (
    <main class="lonely">
      <Logo size={40} />
      <h1>{t("notFound.title")}</h1>
      <p>{t("notFound.text")}</p>
      <a class="btn btn-primary" href="/">
        {t("home")}
      </a>
    </main>
  );
}

function Failed({ onRetry }: { onRetry: () => void }) {
  return (
    <main class="lonely">
      <WifiOff size={40} aria-hidden="true" />
      <h1>{t("load.failed")}</h1>
      <p>{t("load.failedText")}</p>
      <Button kind="primary" onClick={onRetry}>
        {t("retry")}
      </Button>
    </main>
  );
}
