// Creating, scheduling and changing a meeting: one form.
import { useState } from "preact/hooks";
import { CircleAlert } from "lucide-preact";
import { dateField, durationText, fieldsToMs, shownZone, timeField } from "../app/dates";
import { errorText } from "../app/errors";
import { createMeeting, updateMeeting } from "../app/meetings";
import type { Meeting, MeetingFields, Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { Button, Field, focusProblem, Note, Select, Switch, TextArea } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { PeoplePicker } from "./people-picker";

const hourMs = 3_600_000;
const durationsMin = [15, 30, 45, 60, 90, 120, 180, 240, 480];

interface FormProps {
  // The meeting to change; none: a new one.
  meeting?: Meeting;
  onClose: () => void;
  onDone: (meeting: Meeting) => void;
}

interface Problems {
  title?: string;
  date?: string;
  password?: string;
  form?: string;
}

function nextFullHour(): number {
  return Math.ceil((Date.now() + 60_000) / (hourMs / 2)) * (hourMs / 2);
}

function minutesOf(meeting: Meeting | undefined): number {
  if (!meeting?.scheduled_start_ms || !meeting.scheduled_end_ms) return 60;
  return Math.round((meeting.scheduled_end_ms - meeting.scheduled_start_ms) / 60_000);
}

export function MeetingForm({ meeting, onClose, onDone }: FormProps) {
  const startMs = meeting?.scheduled_start_ms || nextFullHour();
  const [title, setTitle] = useState(meeting?.title ?? "");
  const [description, setDescription] = useState(meeting?.description ?? "");
  const [isTimed, setTimed] = useState(meeting ? meeting.scheduled_start_ms > 0 : true);
  const [date, setDate] = useState(dateField(startMs));
  const [time, setTime] = useState(timeField(startMs));
  const [minutes, setMinutes] = useState(minutesOf(meeting));
  const [hasWaitingRoom, setWaitingRoom] = useState(meeting?.has_waiting_room ?? false);
  const [areGuestsAllowed, setGuests] = useState(meeting?.are_guests_allowed ?? true);
  const [isMutedOnEntry, setMutedOnEntry] = useState(meeting?.is_muted_on_entry ?? false);
  const [canShare, setShare] = useState(meeting?.can_participants_share ?? true);
  const [hasPassword, setHasPassword] = useState(meeting?.has_password ?? false);
  const [password, setPassword] = useState("");
  const [people, setPeople] = useState<Profile[]>([]);
  const [problems, setProblems] = useState<Problems>({});
  const [isBusy, setBusy] = useState(false);

  const fields = (): MeetingFields => {
    const from = isTimed ? fieldsToMs(date, time) : 0;
    const all: MeetingFields = {
      title: title.trim(),
      description: description.trim(),
      scheduled_start_ms: from,
      scheduled_end_ms: from ? from + minutes * 60_000 : 0,
      time_zone: shownZone(),
      has_waiting_room: hasWaitingRoom,
      are_guests_allowed: areGuestsAllowed,
      is_muted_on_entry: isMutedOnEntry,
      can_participants_share: canShare,
    };
    if (!hasPassword && meeting?.has_password) all.password = "";
    if (hasPassword && password) all.password = password;
    if (!meeting && people.length) all.invite_user_ids = people.map((p) => p.id);
    return all;
  };

  const save = async (e: Event) => {
    e.preventDefault();
    const found: Problems = {};
    if (!title.trim()) found.title = t("form.titleMissing");
    if (isTimed && Number.isNaN(fieldsToMs(date, time))) found.date = t("form.badTime");
    if (hasPassword && !password && !meeting?.has_password) found.password = t("form.passwordMissing");
    setProblems(found);
    if (Object.keys(found).length) return focusProblem(e.currentTarget);
    setBusy(true);
    try {
      onDone(meeting ? await updateMeeting(meeting.id, fields()) : await createMeeting(fields()));
    } catch (error) {
      setProblems({ form: errorText(error) });
      setBusy(false);
    }
  };

  const choices = durationsMin.includes(minutes) ? durationsMin : [...durationsMin, minutes].sort((a, b) => a - b);
  return (
    <Dialog
      title={t(meeting ? "form.edit" : "form.schedule")}
      onClose={onClose}
      isWide
      footer={
        <>
          <Button onClick={onClose}>{t("cancel")}</Button>
          <Button kind="primary" type="submit" form="meeting-form" isBusy={isBusy}>
            {t(meeting ? "save" : "form.create")}
          </Button>
        </>
      }
    >
      <form id="meeting-form" class="form" onSubmit={(e) => void save(e)} noValidate>
        {problems.form && (
          <Note kind="bad" icon={CircleAlert} role="alert">
            {problems.form}
          </Note>
        )}
        <Field
          label={t("form.title")}
          value={title}
          onValue={setTitle}
          error={problems.title}
          maxLength={200}
          placeholder={t("form.titleExample")}
          required
          autofocus
        />
        <Switch label={t("form.timed")} hint={t("form.timedHint")} checked={isTimed} onChange={setTimed} />
        {isTimed && (
          <>
            <div class="form-row">
              <Field label={t("form.date")} type="date" value={date} onValue={setDate} error={problems.date} required />
              <Field label={t("form.time")} type="time" value={time} onValue={setTime} required />
              <Select
                label={t("form.duration")}
                value={String(minutes)}
                options={choices.map((m) => ({ value: String(m), text: durationText(m * 60_000) }))}
                onValue={(v) => setMinutes(Number(v))}
              />
            </div>
            <p class="field-hint form-zone">{t("form.zone", { zone: shownZone().replace(/_/g, " ") })}</p>
          </>
        )}
        {!meeting && <PeoplePicker label={t("form.people")} people={people} onPeople={setPeople} />}
        <TextArea label={t("form.description")} value={description} onValue={setDescription} maxLength={2000} rows={2} />
        <fieldset class="options">
          <legend class="field-label">{t("form.options")}</legend>
          <Switch label={t("option.guests")} hint={t("option.guestsHint")} checked={areGuestsAllowed} onChange={setGuests} />
          <Switch
            label={t("option.waitingRoom")}
            hint={t("option.waitingRoomHint")}
            checked={hasWaitingRoom}
            onChange={setWaitingRoom}
          />
          <Switch label={t("option.mutedOnEntry")} checked={isMutedOnEntry} onChange={setMutedOnEntry} />
          <Switch label={t("option.share")} checked={canShare} onChange={setShare} />
          <Switch label={t("option.password")} checked={hasPassword} onChange={setHasPassword} />
          {hasPassword && (
            <Field
              label={t("option.passwordField")}
              value={password}
              onValue={setPassword}
              error={problems.password}
              autocomplete="off"
              maxLength={128}
              placeholder={meeting?.has_password ? t("option.passwordKept") : ""}
            />
          )}
        </fieldset>
      </form>
    </Dialog>
  );
}
