// The page before a meeting: preview and devices at the left; at the right what meeting this is, who one is, and the one
// button. Also shown, with other words, while one waits to be let in.
import { useEffect, useState } from "preact/hooks";
import { Clock, DoorOpen, Lock, Settings2, Users } from "lucide-preact";
import { signedIn } from "../app/api";
import { dateTimeText } from "../app/dates";
import { joinMeeting, previewMeeting, type JoinFields } from "../app/meetings";
import { errorText } from "../app/errors";
import type { JoinReply, MeetingPreview } from "../app/types";
import { locale, t } from "../i18n/i18n";
import { cameraProblem, micProblem, openBoth, open, refreshLists } from "../media/devices";
import { CameraSelect, EchoTest, MicSelect, SpeakerSelect } from "../media/device-panel";
import { prefs, setPrefs } from "../media/prefs";
import { ProblemNote } from "../media/problem-note";
import { Avatar } from "../ui/avatar";
import { Button, Field, focusProblem, Note, Spinner } from "../ui/controls";
import { isPasswordProblem } from "./refusal";
import { Preview } from "./preview";
import { useVerdict, VerdictLine } from "./verdict";

const refreshMs = 10_000;

export interface LobbyProps {
  preview: MeetingPreview;
  invitation: string;
  // Waiting to be let in: the form gives way to that.
  isWaiting: boolean;
  isEntering: boolean;
  onPreview: (preview: MeetingPreview) => void;
  onJoined: (reply: JoinReply, fields: JoinFields) => void;
  onCancelWaiting: () => void;
}

function useDevices(): void {
  useEffect(() => {
    const { isMicrophoneOn, isCameraOn } = prefs.value;
    if (isMicrophoneOn && isCameraOn) void openBoth();
    else if (isMicrophoneOn) void open("microphone");
    else if (isCameraOn) void open("camera");
    else void refreshLists();
  }, []);
}

// Who is inside and whether one may enter changes while one sits here.
function useFreshPreview(id: string, onPreview: (p: MeetingPreview) => void): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") previewMeeting(id).then(onPreview, () => undefined);
    }, refreshMs);
    return () => clearInterval(timer);
  }, [id]);
}

export function Lobby(props: LobbyProps) {
  const { preview } = props;
  const user = signedIn.value?.user;
  const name = user ? user.nickname || user.username : prefs.value.guestName;
  useDevices();
  useFreshPreview(preview.code || preview.id, props.onPreview);
  return (
    <div class="lobby">
      <div class="lobby-stage">
        <Preview name={name} avatarUrl={user?.avatar_url} />
        {micProblem.value && prefs.value.isMicrophoneOn && <ProblemNote kind="microphone" problem={micProblem.value} />}
        {cameraProblem.value && prefs.value.isCameraOn && <ProblemNote kind="camera" problem={cameraProblem.value} />}
        <Devices />
      </div>
      <div class="lobby-facts">
        <Facts preview={preview} />
        {props.isWaiting ? <WaitingRoom onCancel={props.onCancelWaiting} /> : <JoinForm {...props} />}
      </div>
    </div>
  );
}

function Devices() {
  return (
    <details class="devices" open={matchMedia("(min-width: 861px)").matches}>
      <summary>
        <Settings2 size={18} aria-hidden="true" />
        {t("lobby.devices")}
      </summary>
      <div class="devices-grid">
        <MicSelect isLabelHidden />
        <SpeakerSelect isLabelHidden />
        <CameraSelect isLabelHidden />
        <EchoTest />
      </div>
    </details>
  );
}

function insideText(preview: MeetingPreview): string {
  const count = preview.participant_count;
  const names = preview.participant_names ?? [];
  if (!count) return t("lobby.nobody");
  if (!names.length) return t("lobby.inside", { count });
  const rest = count - names.length;
  const list = rest > 0 ? [...names, t("lobby.others", { count: rest })] : names;
  return t("lobby.insideNames", { names: new Intl.ListFormat(locale()).format(list) });
}

function Facts({ preview }: { preview: MeetingPreview }) {
  const names = (preview.participant_names ?? []).slice(0, 4);
  return (
    <div class="facts">
      <h1>{preview.title}</h1>
      <p class="facts-host">{t("lobby.host", { name: preview.host_name })}</p>
      <ul class="facts-list">
        {preview.scheduled_start_ms > 0 && (
          <li>
            <Clock size={16} aria-hidden="true" />
            {dateTimeText(preview.scheduled_start_ms)}
          </li>
        )}
        <li>
          {names.length ? (
            <span class="avatar-stack">
              {names.map((n) => (
                <Avatar key={n} name={n} size={24} />
              ))}
            </span>
          ) : (
            <Users size={16} aria-hidden="true" />
          )}
          {insideText(preview)}
        </li>
        <li>
          <Lock size={16} aria-hidden="true" />
          {t("lobby.encryption")}
        </li>
        {preview.has_waiting_room && (
          <li>
            <DoorOpen size={16} aria-hidden="true" />
            {t("lobby.waitingRoom")}
          </li>
        )}
      </ul>
    </div>
  );
}

interface Problems {
  name?: string;
  password?: string;
  form?: string;
}

function JoinForm({ preview, invitation, isEntering, onJoined }: LobbyProps) {
  const user = signedIn.value?.user;
  const isGuest = signedIn.value === null;
  const [name, setName] = useState(prefs.value.guestName);
  const [password, setPassword] = useState("");
  const [problems, setProblems] = useState<Problems>({});
  const [isBusy, setBusy] = useState(false);
  const { verdict, again } = useVerdict();

  const submit = async (e: Event) => {
    e.preventDefault();
    const form = e.currentTarget;
    const found: Problems = {};
    if (isGuest && !name.trim()) found.name = t("lobby.nameMissing");
    if (preview.has_password && !password && !invitation) found.password = t("lobby.passwordMissing");
    setProblems(found);
    if (Object.keys(found).length) return focusProblem(form);
    const fields: JoinFields = {};
    if (isGuest) {
      fields.name = name.trim();
      setPrefs({ guestName: fields.name });
    }
    if (password) fields.password = password;
    if (invitation) fields.invitation = invitation;
    setBusy(true);
    try {
      onJoined(await joinMeeting(preview.id || preview.code, fields), fields);
    } catch (error) {
      setProblems(isPasswordProblem(error, preview) ? { password: t("lobby.passwordWrong") } : { form: errorText(error) });
      focusProblem(form);
    }
    setBusy(false);
  };

  if (isGuest && !preview.are_guests_allowed) return <SignInFirst />;
  const isShut = preview.is_full || preview.is_locked;
  return (
    <form class="join" onSubmit={(e) => void submit(e)} noValidate>
      {isShut && !problems.form && (
        <Note kind="warn" icon={Lock}>
          {t(preview.is_full ? "lobby.full" : "lobby.locked")}
        </Note>
      )}
      {problems.form && (
        <Note kind="bad" icon={Lock} role="alert">
          {problems.form}
        </Note>
      )}
      {isGuest && (
        <Field
          label={t("lobby.name")}
          value={name}
          onValue={setName}
          error={problems.name}
          autocomplete="name"
          name="name"
          maxLength={64}
          required
        />
      )}
      {preview.has_password && !invitation && (
        <Field
          label={t("lobby.passwordField")}
          type="password"
          value={password}
          onValue={setPassword}
          error={problems.password}
          autocomplete="off"
          name="meeting-password"
          maxLength={128}
          required
        />
      )}
      <Button kind="primary" type="submit" class="join-btn" isBlock isBusy={isBusy || isEntering}>
        {t(preview.has_waiting_room ? "lobby.ask" : "lobby.join")}
      </Button>
      <VerdictLine verdict={verdict} onAgain={again} />
      <p class="join-as meta">
        {user ? (
          t("lobby.as", { name: user.nickname || user.username })
        ) : isGuest ? (
          <>
            {t("lobby.haveAccount")} <a href={`/login?next=${encodeURIComponent(location.pathname)}`}>{t("lobby.signIn")}</a>
          </>
        ) : null}
      </p>
    </form>
  );
}

function SignInFirst() {
  return (
    <div class="join">
      <Note kind="info" icon={Lock}>
        {t("lobby.noGuests")}
      </Note>
      <a class="btn btn-primary btn-block" href={`/login?next=${encodeURIComponent(location.pathname)}`}>
        {t("lobby.signIn")}
      </a>
    </div>
  );
}

function WaitingRoom({ onCancel }: { onCancel: () => void }) {
  return (
    <div class="join waiting" role="status">
      <div class="waiting-box">
        <Spinner />
        <div>
          <h2>{t("waiting.title")}</h2>
          <p class="meta">{t("waiting.text")}</p>
        </div>
      </div>
      <Button isBlock onClick={onCancel}>
        {t("waiting.cancel")}
      </Button>
    </div>
  );
}
