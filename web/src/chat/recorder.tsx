// Speaking instead of writing: the microphone is open as long as this is on the screen, its level is seen; sent or thrown away.
import { useEffect, useRef, useState } from "preact/hooks";
import { SendHorizontal, Trash2 } from "lucide-preact";
import { clockText } from "../app/dates";
import { t } from "../i18n/i18n";
import { watchLevel } from "../media/level";
import { IconButton } from "../ui/controls";
import { toast } from "../ui/toast";

const types = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const longestMs = 15 * 60_000;
// A touch by mistake.
const shortestMs = 500;
const levelEveryMs = 80;
const levelsMost = 48;
const bitsPerSecond = 32_000;

interface Props {
  onVoice: (file: File) => void;
  onClose: () => void;
}

interface Recording {
  stop: () => Promise<File>;
  drop: () => void;
}

async function record(onLevel: (level: number) => void): Promise<Recording> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
  const type = types.find((x) => MediaRecorder.isTypeSupported(x)) ?? "";
  const recorder = new MediaRecorder(stream, { ...(type ? { mimeType: type } : {}), audioBitsPerSecond: bitsPerSecond });
  const parts: Blob[] = [];
  recorder.ondataavailable = (e) => e.data.size && parts.push(e.data);
  const [track] = stream.getAudioTracks();
  const stopWatching = track ? watchLevel(track, levelEveryMs, onLevel) : () => undefined;
  const end = () => {
    stopWatching();
    stream.getTracks().forEach((x) => x.stop());
  };
  recorder.start(1000);
  return {
    drop: () => {
      if (recorder.state !== "inactive") recorder.stop();
      end();
    },
    stop: () =>
      new Promise((resolve) => {
        recorder.onstop = () => {
          end();
          const plain = (recorder.mimeType || "audio/webm").split(";")[0] ?? "audio/webm";
          resolve(new File(parts, `voice.${plain.split("/")[1] ?? "webm"}`, { type: plain }));
        };
        recorder.stop();
      }),
  };
}

export default function Recorder({ onVoice, onClose }: Props) {
  const recording = useRef<Recording | null>(null);
  const startMs = useRef(0);
  const [levels, setLevels] = useState<number[]>([]);
  const [lengthMs, setLengthMs] = useState(0);
  const send = useRef<HTMLDivElement>(null);

  useEffect(() => {
    let isOver = false;
    const onLevel = (level: number) => {
      if (!recording.current) return;
      setLengthMs(Date.now() - startMs.current);
      setLevels((was) => [...was, level].slice(-levelsMost));
      if (Date.now() - startMs.current > longestMs) void finish();
    };
    record(onLevel).then(
      (r) => {
        if (isOver) return r.drop();
        recording.current = r;
        startMs.current = Date.now();
        send.current?.querySelector<HTMLElement>(".voice-send")?.focus();
      },
      () => {
        toast(t("chat.voice.noMicrophone"), "bad");
        onClose();
      },
    );
    return () => {
      isOver = true;
      recording.current?.drop();
    };
  }, []);

  const finish = async () => {
    const r = recording.current;
    if (!r) return;
    recording.current = null;
    const isLongEnough = Date.now() - startMs.current >= shortestMs;
    const file = await r.stop();
    if (isLongEnough && file.size) onVoice(file);
    onClose();
  };
  return (
    <div
      ref={send}
      class="recorder"
      role="group"
      aria-label={t("chat.voice.record")}
      onKeyDown={(e) => {
        if (e.key !== "Escape") return;
        e.preventDefault();
        e.stopPropagation();
        onClose();
      }}
    >
      <IconButton icon={Trash2} label={t("chat.voice.drop")} onClick={onClose} />
      <span class="recorder-dot" aria-hidden="true" />
      <span class="tabular" role="timer">
        {clockText(lengthMs)}
      </span>
      <span class="recorder-levels" aria-hidden="true">
        {levels.map((level, i) => (
          <i key={i} style={{ height: `${Math.round(10 + level * 90)}%` }} />
        ))}
      </span>
      <IconButton icon={SendHorizontal} class="composer-send voice-send" label={t("chat.voice.send")} onClick={() => void finish()} />
    </div>
  );
}
