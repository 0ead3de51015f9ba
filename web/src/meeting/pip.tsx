// The meeting in a small window above all others: a document of its own where the browser has that, else the video of
// whoever has the stage.
import { signal } from "@preact/signals";
import { render } from "preact";
import { Mic, MicOff, Phone, Video, VideoOff } from "lucide-preact";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { toast } from "../ui/toast";
import type { MeetingSession } from "./session";
import { Tile } from "./tile";
import { tileItems } from "./tiles";

interface DocumentPip {
  requestWindow(options: { width: number; height: number }): Promise<Window>;
}

export const isPipOpen = signal(false);
let pipWindow: Window | null = null;

function documentPip(): DocumentPip | undefined {
  return (window as { documentPictureInPicture?: DocumentPip }).documentPictureInPicture;
}

export function canPip(): boolean {
  return documentPip() !== undefined || document.pictureInPictureEnabled;
}

const size = { width: 360, height: 260 };
const barHeight = 56;

function PipView({ session, area }: { session: MeetingSession; area: { w: number; h: number } }) {
  const items = tileItems(session);
  const active = session.room.activeSpeaker.value;
  const main =
    items.find((i) => i.kind === "screen" && !i.isSelf) ??
    items.find((i) => i.member.id === active && i.kind === "camera") ??
    items.find((i) => !i.isSelf && i.kind === "camera") ??
    items[0];
  const isMicOn = session.isMicOn.value;
  const isCameraOn = session.isCameraOn.value;
  return (
    <div class="pip">
      <div class="pip-stage" role="list">
        {main && (
          <Tile key={main.key} session={session} item={main} box={{ x: 0, y: 0, w: area.w, h: area.h - barHeight }} place="stage" />
        )}
      </div>
      <div class="pip-bar">
        <IconButton
          icon={isMicOn ? Mic : MicOff}
          class={`bar-btn${isMicOn ? "" : " is-off"}`}
          label={t(isMicOn ? "mic.off" : "mic.on")}
          onClick={() => void session.toggleMic()}
        />
        <IconButton
          icon={isCameraOn ? Video : VideoOff}
          class={`bar-btn${isCameraOn ? "" : " is-off"}`}
          label={t(isCameraOn ? "camera.off" : "camera.on")}
          onClick={() => void session.toggleCamera()}
        />
        <IconButton icon={Phone} class="bar-btn is-leave" label={t("leave")} onClick={() => session.leave("left")} />
      </div>
    </div>
  );
}

async function openDocument(session: MeetingSession, pip: DocumentPip): Promise<void> {
  const opened = await pip.requestWindow(size);
  pipWindow = opened;
  const { documentElement, body, head } = opened.document;
  documentElement.dataset["theme"] = "dark";
  documentElement.lang = document.documentElement.lang;
  opened.document.title = "Parlance";
  for (const sheet of document.querySelectorAll<HTMLLinkElement>('link[rel="stylesheet"]')) {
    const copy = opened.document.createElement("link");
    copy.rel = "stylesheet";
    copy.href = sheet.href;
    head.append(copy);
  }
  const draw = () => render(<PipView session={session} area={{ w: opened.innerWidth, h: opened.innerHeight }} />, body);
  draw();
  opened.addEventListener("resize", draw);
  opened.addEventListener("pagehide", () => {
    render(null, body);
    pipWindow = null;
    isPipOpen.value = session.subscriptions.isShownElsewhere = false;
  });
  isPipOpen.value = session.subscriptions.isShownElsewhere = true;
}

async function openVideo(session: MeetingSession): Promise<void> {
  const video =
    document.querySelector<HTMLVideoElement>(".tile.is-stage video") ??
    document.querySelector<HTMLVideoElement>(".tile:not(.is-corner) video");
  if (!video) return void toast(t("pip.noVideo"));
  await video.requestPictureInPicture();
  isPipOpen.value = session.subscriptions.isShownElsewhere = true;
  video.addEventListener(
    "leavepictureinpicture",
    () => (isPipOpen.value = session.subscriptions.isShownElsewhere = false),
    { once: true },
  );
}

export function closePip(): void {
  pipWindow?.close();
  if (document.pictureInPictureElement) void document.exitPictureInPicture().catch(() => undefined);
}

export async function togglePip(session: MeetingSession): Promise<void> {
  if (pipWindow || document.pictureInPictureElement) return closePip();
  const pip = documentPip();
  try {
    if (pip) await openDocument(session, pip);
    else if (document.pictureInPictureEnabled) await openVideo(session);
  } catch {
    toast(t("pip.failed"), "bad");
  }
}
