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

export interface Choice {
  value: string;
  text: string;
}

interface Choices {
  choices: Choice[];
  // The device in use: what the track says, else the remembered one, else the first.
  chosen: string;
}

function choicesOf(devices: MediaDeviceInfo[], name: (n: number) => string, inUse: string | undefined, remembered: string): Choices {
  const choices = devices.map((d, i) => ({ value: d.deviceId, text: d.label || name(i + 1) }));
  const chosen = [inUse, remembered].find((id) => id && choices.some((c) => c.value === id));
  return { choices, chosen: chosen ?? choices[0]?.value ?? "" };
}

export function micChoices(): Choices {
  const inUse = micTrack.value?.getSettings().deviceId;
  return choicesOf(deviceLists.value.microphones, (n) => t("device.microphoneN", { n }), inUse, prefs.value.microphone);
}

export function cameraChoices(): Choices {
  const inUse = cameraTrack.value?.getSettings().deviceId;
  return choicesOf(deviceLists.value.cameras, (n) => t("device.cameraN", { n }), inUse, prefs.value.camera);
}

export function speakerChoices(): Choices {
  return choicesOf(deviceLists.value.speakers, (n) => t("device.speakerN", { n }), undefined, prefs.value.speaker);
}

interface DeviceSelectProps extends Choices {
  label: string;
  icon: typeof Mic;
  isLabelHidden: boolean;
  onPick: (id: string) => void;
}

function DeviceSelect({ choices, chosen, onPick, ...rest }: DeviceSelectProps) {
  const options = choices.length ? choices : [{ value: "", text: t("device.none") }];
  return <Select {...rest} value={chosen} options={options} disabled={!choices.length} onValue={onPick} />;
}

export function MicSelect({ isLabelHidden = false }) {
  const label = t("device.microphone");
  return <DeviceSelect {...micChoices()} label={label} isLabelHidden={isLabelHidden} icon={Mic} onPick={(id) => void choose("microphone", id)} />;
}

export function CameraSelect({ isLabelHidden = false }) {
  const label = t("device.camera");
  return <DeviceSelect {...cameraChoices()} label={label} isLabelHidden={isLabelHidden} icon={Video} onPick={(id) => void choose("camera", id)} />;
}

export function SpeakerSelect({ isLabelHidden = false }) {
  if (!canChooseSpeaker()) return null;
  const pick = (speaker: string) => {
    setPrefs({ speaker });
    void playTone(speaker);
  };
  return <DeviceSelect {...speakerChoices()} label={t("device.speaker")} isLabelHidden={isLabelHidden} icon={Volume2} onPick={pick} />;
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
