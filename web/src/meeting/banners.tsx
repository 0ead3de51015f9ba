// What needs saying across the stage, each with its cause and what to do: a lost connection, blocked sound or media, a
// weak line, somebody at the door.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { CloudOff, DoorOpen, RefreshCw, ShieldAlert, TriangleAlert, Volume2, X } from "lucide-preact";
import { admitParticipant } from "../app/meetings";
import { t } from "../i18n/i18n";
import { Button, IconButton } from "../ui/controls";
import { toastError } from "../ui/toast";
import type { Cause } from "./quality";
import type { MeetingSession } from "./session";
import { isPanelOpen } from "./view-state";

const dismissed = signal<Cause | null>(null);
// What was waved away may be said again when all was well for so long.
const forgetAfterMs = 30_000;

interface BannerProps {
  kind: "bad" | "warn" | "info";
  icon: typeof CloudOff;
  text: string;
  role?: "alert" | "status";
  children?: ComponentChildren;
}

function Banner({ kind, icon: Glyph, text, role = "status", children }: BannerProps) {
  return (
    <div class={`banner is-${kind}`} role={role}>
      <Glyph size={18} aria-hidden="true" />
      <span class="banner-text">{text}</span>
      {children}
    </div>
  );
}

function LinkBanner({ session }: { session: MeetingSession }) {
  if (session.link.value !== "open")
    return (
      <Banner kind="bad" icon={CloudOff} text={t("banner.reconnecting")} role="alert">
        <Button icon={RefreshCw} onClick={() => session.signal.retryNow()}>
          {t("banner.retry")}
        </Button>
      </Banner>
    );
  if (session.isMediaBlocked.value) return <Banner kind="bad" icon={ShieldAlert} text={t("banner.mediaBlocked")} role="alert" />;
  return null;
}

function SoundBanner({ session }: { session: MeetingSession }) {
  if (!session.isSoundBlocked.value) return null;
  return (
    <Banner kind="info" icon={Volume2} text={t("banner.sound")} role="alert">
      <Button kind="primary" onClick={() => (session.isSoundBlocked.value = false)}>
        {t("banner.hear")}
      </Button>
    </Banner>
  );
}

function QualityBanner({ session }: { session: MeetingSession }) {
  const { score, cause } = session.quality.verdict.value;
  useEffect(() => {
    if (cause !== "none") return;
    const timer = setTimeout(() => (dismissed.value = null), forgetAfterMs);
    return () => clearTimeout(timer);
  }, [cause]);
  if (cause === "none" || cause === "lost" || score >= 3 || dismissed.value === cause) return null;
  const told = session.room.quality.value.get(session.room.selfId.value);
  const args = { loss: Math.round((told?.loss ?? 0) * 100), ms: Math.round(told?.roundTripMs ?? 0) };
  const canHelp = session.isCameraOn.value && cause !== "round_trip";
  return (
    <Banner kind="warn" icon={TriangleAlert} text={t(`cause.${cause}`, args)}>
      {canHelp && <Button onClick={() => void session.toggleCamera()}>{t("camera.off")}</Button>}
      <IconButton icon={X} label={t("dismiss")} onClick={() => (dismissed.value = cause)} />
    </Banner>
  );
}

function DoorBanner({ session }: { session: MeetingSession }) {
  const { room } = session;
  const waiting = [...room.waiting.value.values()];
  const first = waiting[0];
  if (!first || !room.isModerator.value || isPanelOpen.value) return null;
  const id = room.meeting.value.id;
  const who = waiting.length === 1 ? first.id : "all";
  return (
    <Banner kind="info" icon={DoorOpen} text={t("banner.door", { name: first.name, count: waiting.length - 1 })}>
      <Button onClick={() => (isPanelOpen.value = true)}>{t("banner.view")}</Button>
      <Button kind="primary" onClick={() => void admitParticipant(id, who).catch(toastError)}>
        {t(waiting.length === 1 ? "banner.admit" : "people.admitAll")}
      </Button>
    </Banner>
  );
}

export function Banners({ session }: { session: MeetingSession }) {
  return (
    <div class="banners">
      <LinkBanner session={session} />
      <SoundBanner session={session} />
      <DoorBanner session={session} />
      <QualityBanner session={session} />
    </div>
  );
}
