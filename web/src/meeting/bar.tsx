// The bar at the bottom: title and clock at the left, what one does in the middle, people at the right.
import { useEffect, useState } from "preact/hooks";
import {
  Activity, ChevronLeft, ChevronRight, ChevronUp, Ellipsis, Hand, Keyboard, LayoutGrid, LayoutPanelLeft, Link, Lock, Maximize, Mic, MicOff,
  MonitorUp, Phone, PictureInPicture2, Settings2, ShieldCheck, Smile,
  Sparkles, Users, Video, VideoOff,
} from "lucide-preact";
import { copyText } from "../app/clipboard";
import { clockText } from "../app/dates";
import { meetingLink } from "../app/meetings";
import { t } from "../i18n/i18n";
import { cameraChoices, micChoices, speakerChoices, type Choice } from "../media/device-panel";
import { cameraProblem, canChooseSpeaker, choose, micProblem, type Kind } from "../media/devices";
import { problemText } from "../media/problem-note";
import { prefs, setPrefs } from "../media/prefs";
import { Menu, type MenuEntry } from "../ui/menu";
import { BarButton } from "./bar-button";
import { ChatButton } from "./chat";
import { toggleFullscreen } from "./keys";
import { canPip, isPipOpen, togglePip } from "./pip";
import { ReactionPicker } from "./reactions";
import { ScreenShare } from "./screen";
import { SignalBars } from "./signal-bars";
import type { MeetingSession } from "./session";
import { gridPage, gridPages, isPanelOpen, isSelfHidden, layoutMode, openDialog, togglePeople, type LayoutMode } from "./view-state";

interface BarProps {
  session: MeetingSession;
}

function Clock({ session }: BarProps) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const startedAtMs = session.room.meeting.value.started_at_ms;
  const now = Date.now() + session.room.clockSkewMs.value;
  return <span class="tabular">{clockText(startedAtMs ? now - startedAtMs : Date.now() - session.enteredAtMs.value)}</span>;
}

function TitleBlock({ session }: BarProps) {
  const meeting = session.room.meeting.value;
  const score = session.quality.verdict.value.score;
  return (
    <div class="bar-title">
      <h1 title={meeting.title}>{meeting.title}</h1>
      <p class="bar-facts">
        <Clock session={session} />
        {meeting.is_locked && <Lock size={14} role="img" aria-label={t("badge.isLocked")} />}
        <button
          type="button"
          class={`signal-btn is-${score}`}
          aria-label={t(`connection.score${score as 0 | 1 | 2 | 3}`)}
          onClick={() => (openDialog.value = "connection")}
        >
          <SignalBars score={score} />
        </button>
      </p>
    </div>
  );
}

function choiceEntries(choices: Choice[], chosen: string, onPick: (id: string) => void): MenuEntry[] {
  return choices.map((c) => ({ text: c.text, isChecked: c.value === chosen, onPick: () => onPick(c.value) }));
}

function deviceEntries(kind: Kind): MenuEntry[] {
  const isMic = kind === "microphone";
  const own = isMic ? micChoices() : cameraChoices();
  const entries: MenuEntry[] = [
    { title: t(isMic ? "device.microphone" : "device.camera") },
    ...choiceEntries(own.choices, own.chosen, (id) => void choose(kind, id)),
  ];
  if (isMic && canChooseSpeaker()) {
    const { choices, chosen } = speakerChoices();
    entries.push("line", { title: t("device.speaker") }, ...choiceEntries(choices, chosen, (speaker) => setPrefs({ speaker })));
  }
  entries.push("line", { text: t("more.devices"), icon: Settings2, onPick: () => (openDialog.value = "devices") });
  return entries;
}

function MicButton({ session }: BarProps) {
  const isOn = session.isMicOn.value;
  const problem = micProblem.value;
  const level = session.talk.level.value;
  return (
    <div class="bar-split">
      {session.talk.isHintShown.value && (
        <div class="bar-hint">
          <MicOff size={16} aria-hidden="true" />
          {t("mic.youAreMuted")}
        </div>
      )}
      <BarButton
        icon={isOn ? Mic : MicOff}
        label={problem && !isOn ? problemText("microphone", problem) : t(isOn ? "mic.off" : "mic.on")}
        keyHint="m"
        class={`is-mic${isOn ? "" : " is-off"}`}
        onClick={() => void session.toggleMic()}
      >
        {isOn && <span class="mic-level" style={{ transform: `scaleY(${level})` }} aria-hidden="true" />}
        {problem && <span class="round-badge" aria-hidden="true">!</span>}
      </BarButton>
      <Menu label={t("device.chooseMicrophone")} class="bar-caret" entries={() => deviceEntries("microphone")}>
        <ChevronUp size={16} aria-hidden="true" />
      </Menu>
    </div>
  );
}

function CameraButton({ session }: BarProps) {
  const isOn = session.isCameraOn.value;
  const problem = cameraProblem.value;
  return (
    <div class="bar-split">
      <BarButton
        icon={isOn ? Video : VideoOff}
        label={problem && !isOn ? problemText("camera", problem) : t(isOn ? "camera.off" : "camera.on")}
        keyHint="v"
        class={isOn ? "" : "is-off"}
        onClick={() => void session.toggleCamera()}
      >
        {problem && <span class="round-badge" aria-hidden="true">!</span>}
      </BarButton>
      <Menu label={t("device.chooseCamera")} class="bar-caret" entries={() => deviceEntries("camera")}>
        <ChevronUp size={16} aria-hidden="true" />
      </Menu>
    </div>
  );
}

const layoutIcons: Record<LayoutMode, typeof LayoutGrid> = { auto: Sparkles, grid: LayoutGrid, speaker: LayoutPanelLeft };

function layoutEntries(): MenuEntry[] {
  return (["auto", "grid", "speaker"] as const).map((mode) => ({
    text: t(`layout.${mode}`),
    icon: layoutIcons[mode],
    isChecked: layoutMode.value === mode,
    onPick: () => (layoutMode.value = mode),
  }));
}

function moreEntries(session: MeetingSession): MenuEntry[] {
  const isPhone = matchMedia("(max-width: 720px)").matches;
  const open = (name: "devices" | "controls" | "connection" | "keys" | "invite") => () => (openDialog.value = name);
  const keys = prefs.value.areKeysOn;
  const entries: MenuEntry[] = [];
  if (isPhone) {
    if (ScreenShare.isPossible())
      entries.push({
        text: t(session.screen.isOn.value ? "share.stop" : "share.start"),
        icon: MonitorUp,
        onPick: () => void session.toggleScreen(),
      });
    entries.push(
      {
        text: t("link.copy"),
        icon: Link,
        onPick: () => void copyText(meetingLink(session.room.meeting.value.code), t("link.copied")),
      },
      "line",
    );
  }
  entries.push({ title: t("layout") }, ...layoutEntries(), "line");
  if (isSelfHidden.value) entries.push({ text: t("self.show"), icon: Users, onPick: () => (isSelfHidden.value = false) });
  if (canPip())
    entries.push({
      text: t(isPipOpen.value ? "pip.close" : "pip.open"),
      icon: PictureInPicture2,
      ...(keys && !isPhone ? { hint: "I" } : {}),
      onPick: () => void togglePip(session),
    });
  if (document.fullscreenEnabled)
    entries.push({
      text: t(document.fullscreenElement ? "fullscreen.off" : "fullscreen.on"),
      icon: Maximize,
      ...(keys && !isPhone ? { hint: "F" } : {}),
      onPick: toggleFullscreen,
    });
  entries.push("line");
  if (session.room.isModerator.value) entries.push({ text: t("controls.title"), icon: ShieldCheck, onPick: open("controls") });
  entries.push(
    { text: t("more.devices"), icon: Settings2, onPick: open("devices") },
    { text: t("connection.title"), icon: Activity, onPick: open("connection") },
  );
  if (!isPhone) entries.push({ text: t("keys.title"), icon: Keyboard, ...(keys ? { hint: "?" } : {}), onPick: open("keys") });
  return entries;
}

function PeopleButton({ session }: BarProps) {
  const { room } = session;
  const count = room.members.value.size;
  const waiting = room.waiting.value.size;
  return (
    <BarButton
      icon={Users}
      label={t("people.button", { count, waiting })}
      keyHint="p"
      class={`is-plain${isPanelOpen.value ? " is-active" : ""}`}
      isPressed={isPanelOpen.value}
      onClick={togglePeople}
    >
      <span class="bar-count" aria-hidden="true">
        {count}
      </span>
      {waiting > 0 && <span class="bar-dot" aria-hidden="true" />}
    </BarButton>
  );
}

// Turning the pages of tiles when there are more than fit.
function Pager() {
  const page = gridPage.value;
  const pages = gridPages.value;
  if (pages < 2) return null;
  const turn = (by: number) => () => (gridPage.value = page + by);
  return (
    <div class="pager" role="group" aria-label={t("pager")}>
      <button type="button" class="pager-btn" aria-label={t("pager.back")} disabled={page === 0} onClick={turn(-1)}>
        <ChevronLeft size={20} aria-hidden="true" />
      </button>
      <span class="tabular" aria-live="polite">
        {page + 1} / {pages}
      </span>
      <button type="button" class="pager-btn" aria-label={t("pager.next")} disabled={page >= pages - 1} onClick={turn(1)}>
        <ChevronRight size={20} aria-hidden="true" />
      </button>
    </div>
  );
}

export function Bar({ session }: BarProps) {
  const isSharing = session.screen.isOn.value;
  const isHandUp = session.isHandUp.value;
  return (
    <footer class="bar">
      <TitleBlock session={session} />
      <div class="bar-main" role="toolbar" aria-label={t("bar")}>
        <MicButton session={session} />
        <CameraButton session={session} />
        {ScreenShare.isPossible() && (
          <BarButton
            icon={MonitorUp}
            label={t(isSharing ? "share.stop" : "share.start")}
            keyHint="s"
            class={`hide-phone${isSharing ? " is-active" : ""}`}
            isPressed={isSharing}
            onClick={() => void session.toggleScreen()}
          />
        )}
        <BarButton
          icon={Hand}
          label={t(isHandUp ? "hand.lower" : "hand.raise")}
          keyHint="h"
          class={isHandUp ? "is-hand" : ""}
          isPressed={isHandUp}
          onClick={() => void session.toggleHand()}
        />
        <ReactionPicker session={session} icon={Smile} />
        <Menu label={t("more")} class="bar-btn" entries={() => moreEntries(session)}>
          <Ellipsis size={22} aria-hidden="true" />
        </Menu>
        <BarButton
          icon={Phone}
          label={t("leave")}
          class="is-leave"
          onClick={() => {
            if (session.room.isHost.value) openDialog.value = "leave";
            else session.leave("left");
          }}
        />
      </div>
      <div class="bar-side">
        <Pager />
        <BarButton
          icon={Link}
          label={t("link.copy")}
          class="is-plain hide-phone"
          onClick={() => void copyText(meetingLink(session.room.meeting.value.code), t("link.copied"))}
        />
        <ChatButton />
        <PeopleButton session={session} />
      </div>
    </footer>
  );
}
