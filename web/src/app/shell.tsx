// The frame of every page but meetings: a rail at the left (tabs below on phones) and the page.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LogOut, MessageSquare, Settings, ShieldCheck, SmilePlus, Video } from "lucide-preact";
import { loadMessages, t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Logo } from "../ui/logo";
import { lazy } from "../ui/lazy";
import { Menu } from "../ui/menu";
import { toastError } from "../ui/toast";
import { signedIn, signOut } from "./api";
import { ownStatus } from "./own-status";
import { go } from "./router";
import { unreadMessages } from "./unread";

export type Tab = "meetings" | "messages" | "settings" | "admin";

const Switcher = lazy(async () => {
  await Promise.all([loadMessages("pages"), loadMessages("chat")]);
  return import("../chat/switcher");
});
const StatusDialog = lazy(() => import("../chat/status-dialog"));
// The page first.
const backgroundPauseMs = 800;

function useBackground(tab: Tab): void {
  useEffect(() => {
    const start = () => void import("../chat/background").then((m) => m.startBackground(), () => undefined); // the next page tries again
    const timer = setTimeout(start, tab === "messages" ? 0 : backgroundPauseMs);
    return () => clearTimeout(timer);
  }, [signedIn.value?.user.id]);
}

// Ctrl+K leads to any conversation from any page.
function useSwitcher(): [boolean, (isOpen: boolean) => void] {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key.toLowerCase() !== "k" || !(e.ctrlKey || e.metaKey) || e.defaultPrevented || document.querySelector("dialog[open]")) return;
      e.preventDefault();
      setOpen(true);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return [isOpen, setOpen];
}

async function leave(): Promise<void> {
  try {
    await signOut();
  } catch (error) {
    toastError(error);
  }
  go("/login");
}

export function Shell({ tab, children }: { tab: Tab; children: ComponentChildren }) {
  const user = signedIn.value?.user;
  const status = ownStatus.value;
  const [isStatusOpen, setStatusOpen] = useState(false);
  const [isSwitching, setSwitching] = useSwitcher();
  useBackground(tab);
  const tabs = [
    { id: "meetings", href: "/", icon: Video, text: t("nav.meetings") },
    { id: "messages", href: "/c", icon: MessageSquare, text: t("nav.messages") },
    { id: "settings", href: "/settings", icon: Settings, text: t("nav.settings") },
    ...(user?.role === "admin" ? [{ id: "admin", href: "/admin", icon: ShieldCheck, text: t("nav.admin") }] : []),
  ];
  return (
    <div class="shell">
      <a class="skip" href="#main">
        {t("skip")}
      </a>
      <nav class="rail" aria-label={t("nav")}>
        <a class="rail-logo" href="/" aria-label="Parlance">
          <Logo size={32} />
        </a>
        <ul>
          {tabs.map(({ id, href, icon: Glyph, text }) => (
            <li key={id}>
              <a href={href} class="rail-tab" aria-current={id === tab ? "page" : undefined}>
                <Glyph size={22} aria-hidden="true" />
                <span>{text}</span>
                {id === "messages" && unreadMessages.value > 0 && <span class="rail-badge" aria-hidden="true" />}
              </a>
            </li>
          ))}
        </ul>
        {user && (
          <div class="rail-me">
            <Menu
              label={t("nav.account", { name: user.nickname || user.username })}
              class="avatar-btn"
              entries={() => [
                { title: user.nickname || user.username },
                ...(status ? [{ text: t("nav.status"), icon: SmilePlus, onPick: () => setStatusOpen(true) }] : []),
                { text: t("nav.settings"), icon: Settings, onPick: () => go("/settings") },
                "line",
                { text: t("signOut"), icon: LogOut, onPick: () => void leave() },
              ]}
            >
              <Avatar name={user.nickname || user.username} url={user.avatar_url} size={36} />
              {status && <span class={`dot is-${status.status}`} aria-hidden="true" />}
            </Menu>
          </div>
        )}
      </nav>
      {isSwitching && user && <Switcher onClose={() => setSwitching(false)} />}
      {isStatusOpen && <StatusDialog onClose={() => setStatusOpen(false)} />}
      <main id="main" class="page" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
