// One meeting in the list: when, what, who, and what one may do with it.
import { useState } from "preact/hooks";
import {
  CalendarDays, CircleStop, Copy, EllipsisVertical, KeyRound, Lock, DoorOpen, Pencil, Trash2, UserPlus,
} from "lucide-preact";
import { signedIn } from "../app/api";
import { copyText } from "../app/clipboard";
import { dateText, durationText, timeText } from "../app/dates";
import { deleteMeeting, endMeeting, meetingLink, saveCalendar } from "../app/meetings";
import type { Meeting } from "../app/types";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { Confirm } from "../ui/dialog";
import { Menu, type MenuEntry } from "../ui/menu";
import { toast, toastError } from "../ui/toast";

interface RowProps {
  meeting: Meeting;
  onEdit: (m: Meeting) => void;
  onShare: (m: Meeting) => void;
  onChanged: () => void;
}

function When({ meeting: m }: { meeting: Meeting }) {
  const startMs = m.state === "ended" ? m.started_at_ms || m.scheduled_start_ms : m.scheduled_start_ms;
  const endMs = m.state === "ended" && m.started_at_ms ? m.ended_at_ms : m.scheduled_end_ms;
  if (m.state === "active")
    return (
      <div class="when">
        <span class="live">
          <span class="live-dot" aria-hidden="true" />
          {t("home.live")}
        </span>
        {m.started_at_ms > 0 && <span class="meta">{t("home.since", { time: timeText(m.started_at_ms) })}</span>}
      </div>
    );
  return (
    <div class="when">
      {startMs ? <span class="when-time">{timeText(startMs)}</span> : <span class="when-time">–</span>}
      {startMs && endMs > startMs ? <span class="meta">{durationText(endMs - startMs)}</span> : null}
    </div>
  );
}

function facts(m: Meeting): string {
  const isMine = m.host_id === signedIn.value?.user.id;
  const parts = [isMine ? t("home.youHost") : t("home.hosts", { name: m.host_name })];
  if (m.state === "active") parts.push(t("home.inside", { count: m.participant_count }));
  if (m.state === "ended") parts.push(dateText(m.started_at_ms || m.scheduled_start_ms || m.ended_at_ms || m.created_at_ms));
  return parts.join(" · ");
}

export function MeetingRow({ meeting: m, onEdit, onShare, onChanged }: RowProps) {
  const [asked, setAsked] = useState<"delete" | "end" | null>(null);
  const [isBusy, setBusy] = useState(false);
  const canManage = m.my_role === "host" || m.host_id === signedIn.value?.user.id;
  const isOver = m.state === "ended";

  const run = async (work: () => Promise<unknown>, done: string) => {
    setBusy(true);
    try {
      await work();
      toast(done, "good");
      onChanged();
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
    setAsked(null);
  };
  const entries = (): MenuEntry[] => {
    const list: MenuEntry[] = [];
    if (!isOver) {
      list.push({ text: t("link.copy"), icon: Copy, onPick: () => void copyText(meetingLink(m.code), t("link.copied")) });
      if (canManage) list.push({ text: t("share.title"), icon: UserPlus, onPick: () => onShare(m) });
      if (m.scheduled_start_ms)
        list.push({ text: t("share.calendar"), icon: CalendarDays, onPick: () => void saveCalendar(m).catch(toastError) });
      if (canManage) list.push({ text: t("form.edit"), icon: Pencil, onPick: () => onEdit(m) });
    }
    if (canManage && m.state === "active")
      list.push({ text: t("home.end"), icon: CircleStop, isDanger: true, onPick: () => setAsked("end") });
    else if (canManage)
      list.push({ text: t("home.delete"), icon: Trash2, isDanger: true, onPick: () => setAsked("delete") });
    return list;
  };

  return (
    <li class={`card meeting-row${isOver ? " is-over" : ""}`}>
      <When meeting={m} />
      <div class="meeting-what">
        <h3>{m.title}</h3>
        <p class="meta">
          {facts(m)}
          {m.has_password && <KeyRound size={14} aria-label={t("badge.password")} role="img" />}
          {m.has_waiting_room && <DoorOpen size={14} aria-label={t("badge.waitingRoom")} role="img" />}
          {m.is_locked && <Lock size={14} aria-label={t("badge.locked")} role="img" />}
        </p>
      </div>
      <div class="meeting-do">
        {!isOver && (
          <>
            <IconButton
              icon={Copy}
              class="hide-narrow"
              label={t("link.copyOf", { title: m.title })}
              onClick={() => void copyText(meetingLink(m.code), t("link.copied"))}
            />
            <a class={`btn ${m.state === "active" ? "btn-primary" : "btn-plain"}`} href={`/m/${m.code}`}>
              {m.state === "active" || !canManage ? t("join") : t("home.start")}
            </a>
          </>
        )}
        {entries().length > 0 && (
          <Menu label={t("more.of", { title: m.title })} entries={entries}>
            <EllipsisVertical size={20} aria-hidden="true" />
          </Menu>
        )}
      </div>
      {asked === "end" && (
        <Confirm
          title={t("home.endTitle")}
          text={t("home.endText", { title: m.title })}
          action={t("home.end")}
          isDanger
          isBusy={isBusy}
          onConfirm={() => void run(() => endMeeting(m.id), t("home.ended"))}
          onClose={() => setAsked(null)}
        />
      )}
      {asked === "delete" && (
        <Confirm
          title={t("home.deleteTitle")}
          text={t("home.deleteText", { title: m.title })}
          action={t("home.delete")}
          isDanger
          isBusy={isBusy}
          onConfirm={() => void run(() => deleteMeeting(m.id), t("home.deleted"))}
          onClose={() => setAsked(null)}
        />
      )}
    </li>
  );
}

