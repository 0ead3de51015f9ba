// The meeting's dialogs: devices, host controls, connection, keys, inviting, leaving.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CircleAlert } from "lucide-preact";
import { endMeeting, updateMeeting } from "../app/meetings";
import { errorText } from "../app/errors";
import type { Meeting, MeetingFields } from "../app/types";
import { loadMessages, t } from "../i18n/i18n";
import { DevicePanel } from "../media/device-panel";
import { cameraProblem, micProblem } from "../media/devices";
import { prefs, setPrefs } from "../media/prefs";
import { ProblemNote } from "../media/problem-note";
import { Button, Field, Note, Switch } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { toast, toastError } from "../ui/toast";
import { ConnectionDialog } from "./connection-dialog";
import { keyList } from "./keys";
import type { MeetingSession } from "./session";
import { openDialog } from "./view-state";

interface DialogProps {
  session: MeetingSession;
  onClose: () => void;
}

function DevicesDialog({ onClose }: DialogProps) {
  return (
    <Dialog title={t("more.devices")} onClose={onClose}>
      {micProblem.value && <ProblemNote kind="microphone" problem={micProblem.value} />}
      {cameraProblem.value && <ProblemNote kind="camera" problem={cameraProblem.value} />}
      <DevicePanel />
    </Dialog>
  );
}

function ControlsDialog({ session, onClose }: DialogProps) {
  const meeting = session.room.meeting.value;
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState("");
  const change = (fields: MeetingFields) => {
    setProblem("");
    updateMeeting(meeting.id, fields).then(
      (m) => (session.room.meeting.value = { ...session.room.meeting.value, ...m }),
      (error: unknown) => setProblem(errorText(error)),
    );
  };
  return (
    <Dialog title={t("controls.title")} onClose={onClose}>
      {problem && (
        <Note kind="bad" icon={CircleAlert} role="alert">
          {problem}
        </Note>
      )}
      <div class="options">
        <Switch
          label={t("controls.lock")}
          hint={t("controls.lockHint")}
          checked={meeting.is_locked}
          onChange={(v) => change({ is_locked: v })}
        />
        <Switch
          label={t("controls.waitingRoom")}
          hint={t("controls.waitingRoomHint")}
          checked={meeting.has_waiting_room}
          onChange={(v) => change({ has_waiting_room: v })}
        />
        <Switch
          label={t("controls.guests")}
          checked={meeting.are_guests_allowed}
          onChange={(v) => change({ are_guests_allowed: v })}
        />
        <Switch
          label={t("controls.mutedOnEntry")}
          checked={meeting.is_muted_on_entry}
          onChange={(v) => change({ is_muted_on_entry: v })}
        />
        <Switch
          label={t("controls.share")}
          checked={meeting.can_participants_share}
          onChange={(v) => change({ can_participants_share: v })}
        />
      </div>
      <form
        class="inline-form"
        onSubmit={(e) => {
          e.preventDefault();
          change({ password });
          toast(t(password ? "controls.passwordSet" : "controls.passwordRemoved"), "good");
          setPassword("");
        }}
      >
        <Field
          label={t("controls.password")}
          hint={t(meeting.has_password ? "controls.hasPassword" : "controls.noPassword")}
          value={password}
          onValue={setPassword}
          maxLength={128}
          autocomplete="off"
        />
        <Button type="submit" disabled={!password && !meeting.has_password}>
          {t(!password && meeting.has_password ? "controls.passwordRemove" : "save")}
        </Button>
      </form>
    </Dialog>
  );
}

function KeysDialog({ onClose }: DialogProps) {
  return (
    <Dialog title={t("keys.title")} onClose={onClose}>
      <dl class="keys">
        {keyList.map(({ key, text }) => (
          <div key={key} class="keys-row">
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(text)}</dd>
          </div>
        ))}
      </dl>
      <Switch
        label={t("keys.on")}
        hint={t("keys.onHint")}
        checked={prefs.value.areKeysOn}
        onChange={(areKeysOn) => setPrefs({ areKeysOn })}
      />
    </Dialog>
  );
}

// The dialog of the pages, fetched when somebody wants it.
function InviteDialog({ session, onClose }: DialogProps) {
  const [Share, setShare] = useState<ComponentType<{ meeting: Meeting; onClose: () => void }> | null>(null);
  useEffect(() => {
    Promise.all([import("../pages/share"), loadMessages("pages")]).then(
      ([module]) => setShare(() => module.ShareDialog),
      (error: unknown) => {
        toastError(error);
        onClose();
      },
    );
  }, []);
  const role = session.room.self.value?.role;
  return Share && <Share meeting={{ ...session.room.meeting.value, ...(role ? { my_role: role } : {}) }} onClose={onClose} />;
}

function LeaveDialog({ session, onClose }: DialogProps) {
  const [isBusy, setBusy] = useState(false);
  const endAll = async () => {
    setBusy(true);
    try {
      await endMeeting(session.room.meeting.value.id);
    } catch (error) {
      toastError(error);
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("leave.title")} onClose={onClose}>
      <p class="dialog-text">{t("leave.text")}</p>
      <div class="leave-choices">
        <Button isBlock onClick={() => session.leave("left")}>
          {t("leave.only")}
        </Button>
        <Button kind="danger" isBlock isBusy={isBusy} onClick={() => void endAll()}>
          {t("leave.endAll")}
        </Button>
      </div>
    </Dialog>
  );
}

const dialogs = {
  devices: DevicesDialog,
  controls: ControlsDialog,
  connection: ConnectionDialog,
  keys: KeysDialog,
  invite: InviteDialog,
  leave: LeaveDialog,
};

export function Dialogs({ session }: { session: MeetingSession }) {
  const name = openDialog.value;
  if (!name) return null;
  const Content = dialogs[name];
  return <Content session={session} onClose={() => (openDialog.value = null)} />;
}
