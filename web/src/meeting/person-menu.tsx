// What one may do with somebody, from the tile or from the list of people.
import {
  ArrowDownToLine, Crown, EyeOff, Eye, MicOff, MonitorX, Pin, PinOff, ShieldCheck, ShieldX, UserX, VideoOff,
} from "lucide-preact";
import { muteParticipant, removeParticipant, setParticipantRole } from "../app/meetings";
import type { Member, ParticipantRole } from "../app/types";
import { t } from "../i18n/i18n";
import { prefs, setPrefs } from "../media/prefs";
import type { MenuEntry } from "../ui/menu";
import { toastError } from "../ui/toast";
import { confirmAction } from "./confirm";
import type { MeetingSession } from "./session";
import type { TileItem } from "./tiles";
import { isSelfHidden, pinnedKey, setVolume, togglePin, volumes } from "./view-state";

const run = (work: () => Promise<unknown>) => void work().catch(toastError);

function viewEntries(key: string, isSelf: boolean): MenuEntry[] {
  const isPinned = pinnedKey.value === key;
  const entries: MenuEntry[] = [
    { text: t(isPinned ? "tile.unpin" : "tile.pin"), icon: isPinned ? PinOff : Pin, onPick: () => togglePin(key) },
  ];
  if (isSelf) {
    entries.push({
      text: t(isSelfHidden.value ? "self.show" : "self.hide"),
      icon: isSelfHidden.value ? Eye : EyeOff,
      onPick: () => (isSelfHidden.value = !isSelfHidden.value),
    });
    entries.push({
      text: t("self.mirror"),
      isChecked: prefs.value.isMirrored,
      onPick: () => setPrefs({ isMirrored: !prefs.value.isMirrored }),
    });
  }
  return entries;
}

function moderatorEntries(session: MeetingSession, member: Member): MenuEntry[] {
  const { room } = session;
  const id = room.meeting.value.id;
  const entries: MenuEntry[] = [];
  const mic = room.track(member.id, "microphone");
  const camera = room.track(member.id, "camera");
  if (mic && !mic.is_muted)
    entries.push({ text: t("host.mute"), icon: MicOff, onPick: () => run(() => muteParticipant(id, member.id, "audio")) });
  if (camera && !camera.is_muted)
    entries.push({ text: t("host.stopVideo"), icon: VideoOff, onPick: () => run(() => muteParticipant(id, member.id, "video")) });
  if (room.track(member.id, "screen"))
    entries.push({ text: t("host.stopScreen"), icon: MonitorX, onPick: () => run(() => muteParticipant(id, member.id, "screen")) });
  if (member.is_hand_raised)
    entries.push({ text: t("host.lowerHand"), icon: ArrowDownToLine, onPick: () => void session.lowerHand(member.id) });
  return entries;
}

function roleEntries(session: MeetingSession, member: Member): MenuEntry[] {
  const id = session.room.meeting.value.id;
  const setRole = (role: ParticipantRole) => run(() => setParticipantRole(id, member.id, role));
  const entries: MenuEntry[] = [];
  if (member.role === "participant")
    entries.push({ text: t("host.makeCoHost"), icon: ShieldCheck, onPick: () => setRole("co_host") });
  if (member.role === "co_host")
    entries.push({ text: t("host.unmakeCoHost"), icon: ShieldX, onPick: () => setRole("participant") });
  if (member.role !== "host" && !member.is_guest)
    entries.push({
      text: t("host.makeHost"),
      icon: Crown,
      onPick: () =>
        confirmAction({
          title: t("host.makeHostTitle", { name: member.name }),
          text: t("host.makeHostText"),
          action: t("host.makeHost"),
          run: () => setParticipantRole(id, member.id, "host"),
        }),
    });
  return entries;
}

export function personMenu(session: MeetingSession, member: Member, item?: TileItem): MenuEntry[] {
  const { room } = session;
  const isSelf = member.id === room.selfId.value;
  const entries = viewEntries(item?.key ?? `cam:${member.id}`, isSelf);
  if (isSelf || !room.isModerator.value) return entries;
  const moderation = moderatorEntries(session, member);
  if (moderation.length) entries.push("line", ...moderation);
  if (room.isHost.value) {
    const roles = roleEntries(session, member);
    if (roles.length) entries.push("line", ...roles);
  }
  // A co-host cannot put a host out.
  if (room.isHost.value || member.role === "participant") {
    entries.push("line", {
      text: t("host.remove"),
      icon: UserX,
      isDanger: true,
      onPick: () =>
        confirmAction({
          title: t("host.removeTitle", { name: member.name }),
          text: t(member.is_guest ? "host.removeGuestText" : "host.removeText"),
          action: t("host.remove"),
          isDanger: true,
          run: () => removeParticipant(room.meeting.value.id, member.id),
        }),
    });
  }
  return entries;
}

export function VolumeSlider({ member }: { member: Member }) {
  const volume = volumes.value.get(member.id) ?? 1;
  return (
    <label class="volume">
      <span class="meta">{t("tile.volume")}</span>
      <input
        type="range"
        min="0"
        max="1"
        step="0.05"
        value={volume}
        aria-label={t("tile.volumeOf", { name: member.name })}
        onInput={(e) => setVolume(member.id, Number(e.currentTarget.value))}
      />
    </label>
  );
}
