// A voice message: its loudness drawn as bars, played from wherever one points, as fast as one likes. One at a time.
import { useEffect, useRef, useState } from "preact/hooks";
import { LoaderCircle, Pause, Play } from "lucide-preact";
import { clockText } from "../app/dates";
import { t } from "../i18n/i18n";
import { toast } from "../ui/toast";
import { blobUrl, filePath } from "./blobs";
import { barsOf } from "./files";
import type { Attachment } from "./types";

const barCount = 40;
const speeds = [1, 1.5, 2];
let playing: HTMLAudioElement | null = null;

function usePlayer(path: string, durationMs: number) {
  const audio = useRef<HTMLAudioElement | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [isPlaying, setPlaying] = useState(false);
  const [atMs, setAtMs] = useState(0);
  const [speed, setSpeed] = useState(1);

  useEffect(
    () => () => {
      audio.current?.pause();
      if (playing === audio.current) playing = null;
    },
    [],
  );

  const load = async (): Promise<HTMLAudioElement> => {
    if (audio.current) return audio.current;
    setBusy(true);
    try {
      const el = new Audio(await blobUrl(path));
      el.onplay = () => setPlaying(true);
      el.onpause = () => setPlaying(false);
      el.ontimeupdate = () => setAtMs(el.currentTime * 1000);
      el.onended = () => (setPlaying(false), setAtMs(0), (el.currentTime = 0));
      el.playbackRate = speed;
      audio.current = el;
      return el;
    } finally {
      setBusy(false);
    }
  };
  const toggle = async () => {
    try {
      const el = await load();
      if (!el.paused) return el.pause();
      if (playing !== el) playing?.pause();
      playing = el;
      await el.play();
    } catch {
      toast(t("chat.voice.failed"), "bad");
    }
  };
  const seek = async (share: number) => {
    setAtMs(share * durationMs);
    const el = await load().catch(() => null);
    if (el) el.currentTime = (share * durationMs) / 1000;
  };
  const faster = () => {
    const next = speeds[(speeds.indexOf(speed) + 1) % speeds.length] ?? 1;
    setSpeed(next);
    if (audio.current) audio.current.playbackRate = next;
  };
  return { isBusy, isPlaying, atMs, speed, toggle, seek, faster };
}

export function VoicePlayer({ conversationId, a }: { conversationId: string; a: Attachment }) {
  const durationMs = a.duration_ms || 1000;
  const { isBusy, isPlaying, atMs, speed, toggle, seek, faster } = usePlayer(filePath(conversationId, a.file_id), durationMs);
  const bars = barsOf(a.waveform, barCount);
  const share = Math.min(1, atMs / durationMs);
  const Glyph = isBusy ? LoaderCircle : isPlaying ? Pause : Play;
  return (
    <div class="voice">
      <button type="button" class="voice-play" aria-label={t(isPlaying ? "chat.voice.pause" : "chat.voice.play")} onClick={() => void toggle()}>
        <Glyph size={20} class={isBusy ? "spinner" : ""} aria-hidden="true" />
      </button>
      <div class="voice-wave">
        <svg viewBox={`0 0 ${barCount * 4} 32`} preserveAspectRatio="none" aria-hidden="true">
          {bars.map((level, i) => {
            const height = 3 + level * 29;
            return <rect key={i} x={i * 4} y={(32 - height) / 2} width="2.5" height={height} rx="1.2" class={(i + 0.5) / barCount <= share ? "is-past" : ""} />;
          })}
        </svg>
        <input
          type="range"
          min="0"
          max="1000"
          step="10"
          value={Math.round(share * 1000)}
          aria-label={t("chat.voice.place")}
          aria-valuetext={clockText(atMs)}
          onInput={(e) => void seek(Number(e.currentTarget.value) / 1000)}
        />
      </div>
      <span class="voice-time tabular">{clockText(isPlaying || atMs ? atMs : durationMs)}</span>
      <button type="button" class="voice-speed tabular" aria-label={t("chat.voice.speed", { speed: String(speed) })} onClick={faster}>
        {speed}×
      </button>
    </div>
  );
}
