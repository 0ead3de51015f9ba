// One person (or one shared screen): picture or avatar, name, and what one must know of them at a glance.
import { useEffect, useRef, useState } from "preact/hooks";
import { EllipsisVertical, Hand, MicOff, MonitorUp, Pin, Volume2 } from "lucide-preact";
import { t } from "../i18n/i18n";
import { cameraTrack } from "../media/devices";
import { prefs } from "../media/prefs";
import { Avatar, colorOf } from "../ui/avatar";
import { Button } from "../ui/controls";
import { Menu } from "../ui/menu";
import type { Box } from "./layout";
import { personMenu, VolumeSlider } from "./person-menu";
import type { MeetingSession } from "./session";
import { SignalBars } from "./signal-bars";
import type { TileItem } from "./tiles";
import { pinnedKey, togglePin } from "./view-state";

interface TileProps {
  session: MeetingSession;
  item: TileItem;
  box: Box;
  place: "grid" | "stage" | "strip" | "corner";
}

// The video element; tells when there is a picture to see.
function Picture({ track, isContained, isMirrored, onPicture }: {
  track: MediaStreamTrack;
  isContained: boolean;
  isMirrored: boolean;
  onPicture: (has: boolean) => void;
}) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = ref.current;
    if (!video) return;
    onPicture(false);
    video.srcObject = new MediaStream([track]);
    void video.play().catch(() => undefined);
    return () => {
      video.srcObject = null;
    };
  }, [track]);
  const cls = `${isContained ? "is-contained" : ""}${isMirrored ? " is-mirrored" : ""}`;
  return <video ref={ref} class={cls} autoplay playsInline muted aria-hidden="true" onLoadedData={() => onPicture(true)} />;
}

// Asks for the picture in the size it is shown as long as it is.
function useSubscription({ session, item, box }: TileProps, isWanted: boolean): void {
  const by = useRef({});
  const id = item.isSelf || !isWanted ? "" : (item.track?.id ?? "");
  const height = Math.round(box.h / 16) * 16;
  useEffect(() => {
    if (!id) return;
    session.subscriptions.show(id, by.current, height);
  }, [id, height]);
  useEffect(() => {
    if (!id) return;
    return () => session.subscriptions.show(id, by.current, null);
  }, [id]);
}

function mediaOf({ session, item }: TileProps): MediaStreamTrack | null {
  if (item.kind === "screen") return item.isSelf ? null : (item.track && session.room.media.value.get(item.track.id)) ?? null;
  if (item.isSelf) return session.isCameraOn.value ? cameraTrack.value : null;
  if (!item.track || item.track.is_muted) return null;
  return session.room.media.value.get(item.track.id) ?? null;
}

function NameTag({ session, item }: TileProps) {
  const { room } = session;
  const mic = room.track(item.member.id, "microphone");
  const isMuted = item.isSelf ? !session.isMicOn.value : !mic || mic.is_muted;
  const isSpeaking = !isMuted && room.speakers.value.has(item.member.id);
  const name = item.isSelf ? t("youShort") : item.member.name;
  return (
    <div class="tag">
      {item.kind === "screen" ? (
        <MonitorUp size={14} aria-hidden="true" />
      ) : isMuted ? (
        <MicOff size={14} role="img" aria-label={t("state.muted")} />
      ) : isSpeaking ? (
        <Volume2 size={14} class="tag-speaking" role="img" aria-label={t("state.speaking")} />
      ) : null}
      <span class="tag-name">{item.kind === "screen" ? t("screenOf", { name: item.member.name }) : name}</span>
    </div>
  );
}

function Badges({ session, item }: TileProps) {
  const { room } = session;
  const quality = room.quality.value.get(item.member.id);
  const isWeak = item.kind === "camera" && quality !== undefined && quality.score <= 1;
  const at = room.hands.value.findIndex((m) => m.id === item.member.id);
  return (
    <div class="badges">
      {item.kind === "camera" && at >= 0 && (
        <span class="hand-badge" role="img" aria-label={t("state.hand", { n: at + 1 })}>
          <Hand size={16} aria-hidden="true" />
          {at + 1}
        </span>
      )}
      {pinnedKey.value === item.key && <Pin size={16} role="img" aria-label={t("state.pinned")} />}
      {isWeak && (
        <span class="weak" role="img" aria-label={t("state.weak")}>
          <SignalBars score={quality.score} />
        </span>
      )}
    </div>
  );
}

export function Tile(props: TileProps) {
  const { session, item, box, place } = props;
  const [hasPicture, setPicture] = useState(false);
  const track = mediaOf(props);
  const isScreen = item.kind === "screen";
  const isSpeaking = !isScreen && session.room.speakers.value.has(item.member.id) && (!item.isSelf || session.isMicOn.value);
  useSubscription(props, isScreen || !item.track?.is_muted);

  const style = { width: box.w, height: box.h, transform: `translate(${box.x}px, ${box.y}px)` };
  const isSmall = box.w < 200;
  const avatarSize = Math.round(Math.max(32, Math.min(120, Math.min(box.w, box.h) * 0.42)));
  return (
    <div
      class={`tile is-${place}${isSpeaking ? " is-speaking" : ""}${isSmall ? " is-small" : ""}${isScreen ? " is-screen" : ""}`}
      style={style}
      role="listitem"
      data-participant={item.member.id}
      data-kind={item.kind}
      onDblClick={() => togglePin(item.key)}
    >
      {isScreen && item.isSelf ? (
        <OwnScreen session={session} isSmall={isSmall || box.h < 160} />
      ) : (
        <div class="tile-face" style={{ "--tint": colorOf(item.member.name) }}>
          {(!track || !hasPicture) && !isScreen && (
            <Avatar name={item.member.name} url={item.member.avatar_url} size={avatarSize} />
          )}
          {track && (
            <Picture
              track={track}
              isContained={isScreen}
              isMirrored={item.isSelf && prefs.value.isMirrored}
              onPicture={setPicture}
            />
          )}
        </div>
      )}
      {!item.member.is_connected && !item.isSelf && <div class="tile-away">{t("state.reconnecting")}</div>}
      <Badges {...props} />
      <NameTag {...props} />
      <div class="tile-menu">
        <Menu
          label={t("tile.more", { name: item.member.name })}
          class="tile-btn"
          entries={() => personMenu(session, item.member, item)}
          {...(item.isSelf ? {} : { header: () => <VolumeSlider member={item.member} /> })}
        >
          <EllipsisVertical size={18} aria-hidden="true" />
        </Menu>
      </div>
    </div>
  );
}

function OwnScreen({ session, isSmall }: { session: MeetingSession; isSmall: boolean }) {
  return (
    <div class="own-screen">
      <MonitorUp size={isSmall ? 20 : 32} aria-hidden="true" />
      {!isSmall && <p>{t("share.youShare")}</p>}
      <Button kind="danger" onClick={() => void session.toggleScreen()}>
        {t("share.stop")}
      </Button>
    </div>
  );
}
