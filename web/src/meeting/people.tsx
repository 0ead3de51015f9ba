// The panel of people: who waits, whose hand is up, who is inside, and the host's controls over all of them.
import { useState } from "preact/hooks";
import {
  Check, Copy, EllipsisVertical, Hand, Lock, LockOpen, Mic, MicOff, MonitorUp, Search, UserPlus, Video, VideoOff,
  VolumeX, X,
} from "lucide-preact";
import { copyText } from "../app/clipboard";
import { admitParticipant, meetingLink, muteParticipant, refuseParticipant, updateMeeting } from "../app/meetings";
import type { Member } from "../app/types";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, Field, IconButton } from "../ui/controls";
import { Menu } from "../ui/menu";
import { toast, toastError } from "../ui/toast";
import { confirmAction } from "./confirm";
import { personMenu, VolumeSlider } from "./person-menu";
import type { MeetingSession } from "./session";
import { isPanelOpen, openDialog } from "./view-state";

const searchFrom = 12;

interface PanelProps {
  session: MeetingSession;
}

function useBusy(): [boolean, (work: () => Promise<unknown>) => void] {
  const [isBusy, setBusy] = useState(false);
  return [
    isBusy,
    (work) => {
      setBusy(true);
      void work()
        .catch(toastError)
        .finally(() => setBusy(false));
    },
  ];
}

function Waiting({ session }: PanelProps) {
  const { room } = session;
  const [isBusy, run] = useBusy();
  const id = room.meeting.value.id;
  const waiting = [...room.waiting.value.values()];
  if (!waiting.length || !room.isModerator.value) return null;
  return (
    <section class="people-part people-waiting">
      <div class="people-head">
        <h3>{t("people.waiting", { count: waiting.length })}</h3>
        {waiting.length > 1 && (
          <Button kind="quiet" disabled={isBusy} onClick={() => run(() => admitParticipant(id, "all"))}>
            {t("people.admitAll")}
          </Button>
        )}
      </div>
      <ul>
        {waiting.map((m) => (
          <li key={m.id} class="person">
            <Avatar name={m.name} url={m.avatar_url} size={36} />
            <span class="person-name">
              {m.name}
              {m.is_guest && <span class="meta">{t("people.guest")}</span>}
            </span>
            <IconButton icon={X} label={t("people.refuse", { name: m.name })} onClick={() => run(() => refuseParticipant(id, m.id))} />
            <IconButton
              icon={Check}
              class="is-good"
              label={t("people.admit", { name: m.name })}
              onClick={() => run(() => admitParticipant(id, m.id))}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

function roleText(member: Member, isSelf: boolean): string {
  const parts: string[] = [];
  if (isSelf) parts.push(t("youShort"));
  if (member.role === "host") parts.push(t("role.host"));
  else if (member.role === "co_host") parts.push(t("role.coHost"));
  else if (member.is_guest) parts.push(t("people.guest"));
  return parts.join(" · ");
}

function Person({ session, member }: PanelProps & { member: Member }) {
  const { room } = session;
  const isSelf = member.id === room.selfId.value;
  const mic = room.track(member.id, "microphone");
  const camera = room.track(member.id, "camera");
  const isMuted = isSelf ? !session.isMicOn.value : !mic || mic.is_muted;
  const isCameraOff = isSelf ? !session.isCameraOn.value : !camera || camera.is_muted;
  const role = roleText(member, isSelf);
  return (
    <li class={`person${member.is_connected ? "" : " is-away"}`}>
      <span class={`person-avatar${room.speakers.value.has(member.id) && !isMuted ? " is-speaking" : ""}`}>
        <Avatar name={member.name} url={member.avatar_url} size={36} />
      </span>
      <span class="person-name">
        {member.name}
        {role && <span class="meta">{role}</span>}
      </span>
      {member.is_hand_raised && <Hand size={18} class="person-hand" role="img" aria-label={t("state.handUp")} />}
      {room.track(member.id, "screen") && <MonitorUp size={18} role="img" aria-label={t("state.sharing")} />}
      {isMuted ? (
        <MicOff size={18} class="person-off" role="img" aria-label={t("state.muted")} />
      ) : (
        <Mic size={18} role="img" aria-label={t("state.unmuted")} />
      )}
      {isCameraOff ? (
        <VideoOff size={18} class="person-off" role="img" aria-label={t("state.cameraOff")} />
      ) : (
        <Video size={18} role="img" aria-label={t("state.cameraOn")} />
      )}
      <Menu
        label={t("tile.more", { name: member.name })}
        entries={() => personMenu(session, member)}
        {...(isSelf ? {} : { header: () => <VolumeSlider member={member} /> })}
      >
        <EllipsisVertical size={18} aria-hidden="true" />
      </Menu>
    </li>
  );
}

const rank = { host: 0, co_host: 1, participant: 2 } as const;

// Raised hands first in their order, then hosts, then everybody by name.
function sorted(session: MeetingSession, q: string): Member[] {
  const hands = session.room.hands.value.map((m) => m.id);
  const handRank = (m: Member) => (hands.includes(m.id) ? hands.indexOf(m.id) : hands.length);
  const selfId = session.room.selfId.value;
  const wanted = q.trim().toLocaleLowerCase();
  return [...session.room.members.value.values()]
    .filter((m) => !wanted || m.name.toLocaleLowerCase().includes(wanted))
    .sort(
      (a, b) =>
        handRank(a) - handRank(b) ||
        Number(b.id === selfId) - Number(a.id === selfId) ||
        rank[a.role] - rank[b.role] ||
        a.name.localeCompare(b.name),
    );
}

function HostRow({ session }: PanelProps) {
  const { room } = session;
  const [isBusy, run] = useBusy();
  const meeting = room.meeting.value;
  const isLocked = meeting.is_locked;
  if (!room.isModerator.value) return null;
  return (
    <div class="people-host">
      <Button
        icon={VolumeX}
        disabled={isBusy}
        onClick={() =>
          confirmAction({
            title: t("host.muteAllTitle"),
            text: t("host.muteAllText"),
            action: t("host.muteAll"),
            run: async () => {
              await muteParticipant(meeting.id, "all", "audio");
              toast(t("host.mutedAll"), "good");
            },
          })
        }
      >
        {t("host.muteAll")}
      </Button>
      <Button
        icon={isLocked ? LockOpen : Lock}
        disabled={isBusy}
        aria-pressed={isLocked}
        onClick={() => run(() => updateMeeting(meeting.id, { is_locked: !isLocked }))}
      >
        {t(isLocked ? "host.unlock" : "host.lock")}
      </Button>
    </div>
  );
}

export function PeoplePanel({ session }: PanelProps) {
  const [q, setQ] = useState("");
  const { room } = session;
  const code = room.meeting.value.code;
  const count = room.members.value.size;
  return (
    <aside class="panel" aria-label={t("people.title")}>
      <header class="panel-head">
        <h2>{t("people.titleCount", { count })}</h2>
        <IconButton icon={X} label={t("close")} onClick={() => (isPanelOpen.value = false)} />
      </header>
      <div class="panel-body">
        <div class="people-invite">
          <Button icon={Copy} onClick={() => void copyText(meetingLink(code), t("link.copied"))}>
            {t("link.copy")}
          </Button>
          {room.isModerator.value && (
            <Button icon={UserPlus} onClick={() => (openDialog.value = "invite")}>
              {t("people.invite")}
            </Button>
          )}
        </div>
        <HostRow session={session} />
        <Waiting session={session} />
        <section class="people-part">
          {count >= searchFrom && (
            <div class="people-search">
              <Search size={18} aria-hidden="true" />
              <Field label={t("people.search")} isLabelHidden placeholder={t("people.search")} value={q} onValue={setQ} type="search" />
            </div>
          )}
          <ul aria-label={t("people.inside")}>
            {sorted(session, q).map((m) => (
              <Person key={m.id} session={session} member={m} />
            ))}
          </ul>
        </section>
      </div>
    </aside>
  );
}
