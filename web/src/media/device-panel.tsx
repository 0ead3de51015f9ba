// Choosing microphone, camera and speaker, and the echo test: in prejoin and in the meeting.
import { useEffect, useRef, useState } from "preact/hooks";
import { AudioLines, Mic, Square, Video, Volume2 } from "lucide-preact";
import { t } from "../i18n/i18n";
import { Button, Select, Switch } from "../ui/controls";
import {
  cameraTrack, canChooseSpeaker, choose, deviceLists, micTrack, refreshLists, setNoiseSuppressed,
} from "./devices";
import { echoMs, playTone, runEcho, type EchoState } from "./echo";
import { Meter } from "./meter";
import { prefs, setPrefs } from "./prefs";

interface Choice {
  value: string;
  text: string;
}

function choices(devices: MediaDeviceInfo[], unnamed: (n: number) => string): Choice[] {
  if (!devices.length) return [{ value: "", text: t("device.none") }];
  return devices.map((d, i) => ({ value: d.deviceId, text: d.label || unnamed(i + 1) }));
}

// The device in use: what the track says, else the remembered one, else the first of the list.
function current(list: Choice[], inUse: string | undefined, remembered: string): string {
  for (const id of [inUse, remembered]) if (id && list.some((c) => c.value === id)) return id;
  return list[0]?.value ?? "";
}

export function MicSelect({ isLabelHidden = false }) {
  const list = choices(deviceLists.value.microphones, (n) => t("device.microphoneN", { n }));
  return (
    <Select
      label={t("device.microphone")}
      isLabelHidden={isLabelHidden}
      icon={Mic}
      value={current(list, micTrack.value?.getSettings().deviceId, prefs.value.microphone)}
      options={list}
      disabled={!deviceLists.value.microphones.length}
      onValue={(id) => void choose("microphone", id)}
    />
  );
}

export function CameraSelect({ isLabelHidden = false }) {
  const list = choices(deviceLists.value.cameras, (n) => t("device.cameraN", { n }));
  return (
    <Select
      label={t("device.camera")}
      isLabelHidden={isLabelHidden}
      icon={Video}
      value={current(list, cameraTrack.value?.getSettings().deviceId, prefs.value.camera)}
      options={list}
      disabled={!deviceLists.value.cameras.length}
      onValue={(id) => void choose("camera", id)}
    />
  );
}

export function SpeakerSelect({ isLabelHidden = false }) {
  if (!canChooseSpeaker()) return null;
  const list = choices(deviceLists.value.speakers, (n) => t("device.speakerN", { n }));
  return (
    <Select
      label={t("device.speaker")}
      isLabelHidden={isLabelHidden}
      icon={Volume2}
      value={current(list, undefined, prefs.value.speaker)}
      options={list}
      disabled={!deviceLists.value.speakers.length}
      onValue={(id) => {
        setPrefs({ speaker: id });
        void playTone(id);
      }}
    />
  );
}

const echoTexts = {
  idle: "echo.start",
  recording: "echo.recording",
  playing: "echo.playing",
  done: "echo.again",
  failed: "echo.failed",
} as const;

export function EchoTest() {
  const [state, setState] = useState<EchoState>("idle");
  const abort = useRef<AbortController | null>(null);
  const track = micTrack.value;
  const isRunning = state === "recording" || state === "playing";
  useEffect(() => () => abort.current?.abort(), []);

  const toggle = () => {
    abort.current?.abort();
    if (isRunning || !track) return setState("idle");
    abort.current = new AbortController();
    void runEcho(track, abort.current.signal, setState);
  };
  return (
    <div class="echo">
      <Button icon={isRunning ? Square : AudioLines} disabled={!track} onClick={toggle}>
        <span role="status">{t(echoTexts[state], { seconds: echoMs / 1000 })}</span>
      </Button>
      {isRunning && <span key={state} class={`echo-bar is-${state}`} aria-hidden="true" />}
    </div>
  );
}

export function DevicePanel({ hasCamera = true }: { hasCamera?: boolean }) {
  useEffect(() => void refreshLists(), []);
  return (
    <div class="device-panel">
      <div class="device-mic">
        <MicSelect />
        <Meter track={micTrack.value} label={t("device.level")} />
      </div>
      <SpeakerSelect />
      {hasCamera && <CameraSelect />}
      <Switch
        label={t("device.noise")}
        hint={t("device.noiseHint")}
        checked={prefs.value.isNoiseSuppressed}
        onChange={(v) => void setNoiseSuppressed(v)}
      />
      <EchoTest />
    </div>
  );
}
