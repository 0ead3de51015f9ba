// One's own picture before joining, with the switches of microphone and camera on it.
import { useEffect, useRef } from "preact/hooks";
import { Mic, MicOff, Video, VideoOff } from "lucide-preact";
import { cameraProblem, cameraTrack, close, isAsking, micProblem, micTrack, open, type Kind } from "../media/devices";
import { Meter } from "../media/meter";
import { prefs, setPrefs } from "../media/prefs";
import { problemText } from "../media/problem-note";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";

export function VideoView({ track, isMirrored }: { track: MediaStreamTrack; isMirrored: boolean }) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (ref.current) ref.current.srcObject = new MediaStream([track]);
  }, [track]);
  return <video ref={ref} class={isMirrored ? "is-mirrored" : ""} autoplay playsInline muted aria-hidden="true" />;
}

export async function toggleDevice(kind: Kind): Promise<void> {
  const pref = kind === "microphone" ? "isMicrophoneOn" : "isCameraOn";
  const track = kind === "microphone" ? micTrack : cameraTrack;
  const isOn = prefs.value[pref] && track.value !== null;
  if (isOn) {
    setPrefs({ [pref]: false });
    close(kind);
  } else if (await open(kind)) {
    setPrefs({ [pref]: true });
  }
}

function Toggle({ kind }: { kind: Kind }) {
  const isMic = kind === "microphone";
  const isOn = isMic
    ? micTrack.value !== null && prefs.value.isMicrophoneOn
    : cameraTrack.value !== null && prefs.value.isCameraOn;
  const problem = (isMic ? micProblem : cameraProblem).value;
  const Glyph = isMic ? (isOn ? Mic : MicOff) : isOn ? Video : VideoOff;
  const label = isMic ? t(isOn ? "mic.off" : "mic.on") : t(isOn ? "camera.off" : "camera.on");
  return (
    <button
      type="button"
      class={`round-btn${isOn ? "" : " is-off"}`}
      aria-label={label}
      title={problem ? problemText(kind, problem) : label}
      onClick={() => void toggleDevice(kind)}
    >
      <Glyph size={22} aria-hidden="true" />
      {problem && <span class="round-badge">!</span>}
    </button>
  );
}

function overlayText(): string {
  if (isAsking.value && !micTrack.value && !cameraTrack.value) return t("preview.asking");
  const problem = cameraProblem.value;
  if (problem && prefs.value.isCameraOn) return t("preview.noCamera");
  return cameraTrack.value ? "" : t("preview.off");
}

export function Preview({ name, avatarUrl }: { name: string; avatarUrl?: string | undefined }) {
  const track = cameraTrack.value;
  const text = overlayText();
  return (
    <section class="preview" aria-label={t("preview")}>
      {track ? (
        <VideoView track={track} isMirrored={prefs.value.isMirrored} />
      ) : (
        <div class="preview-empty">
          {name && <Avatar name={name} url={avatarUrl} size={96} />}
          <p>{text}</p>
        </div>
      )}
      <div class="preview-bar">
        <Meter track={prefs.value.isMicrophoneOn ? micTrack.value : null} label={t("device.level")} />
        <Toggle kind="microphone" />
        <Toggle kind="camera" />
      </div>
    </section>
  );
}
