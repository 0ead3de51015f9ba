// A microphone's level as a row of bars. The bars are set directly, not by rendering anew sixteen times a second.
import { useEffect, useRef } from "preact/hooks";
import { watchLevel } from "./level";

const barCount = 12;
const everyMs = 60;

export function Meter({ track, label }: { track: MediaStreamTrack | null; label: string }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const bars = [...(ref.current?.children ?? [])];
    const show = (level: number) => bars.forEach((bar, i) => bar.classList.toggle("is-lit", level * barCount > i + 0.3));
    show(0);
    if (!track) return;
    const stop = watchLevel(track, everyMs, show);
    return () => {
      stop();
      show(0);
    };
  }, [track]);
  return (
    <div ref={ref} class="meter" role="img" aria-label={label}>
      {Array.from({ length: barCount }, (_, i) => (
        <span key={i} />
      ))}
    </div>
  );
}
