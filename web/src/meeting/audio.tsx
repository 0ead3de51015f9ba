// The others' voices: one audio element each, on the chosen speaker. Browsers that want a click first are asked about.
import { useEffect, useRef } from "preact/hooks";
import { deviceLists, routeToSpeaker } from "../media/devices";
import { prefs } from "../media/prefs";
import type { MeetingSession } from "./session";
import { volumes } from "./view-state";

interface VoiceProps {
  session: MeetingSession;
  track: MediaStreamTrack;
  volume: number;
}

function Voice({ session, track, volume }: VoiceProps) {
  const ref = useRef<HTMLAudioElement>(null);
  const isBlocked = session.isSoundBlocked.value;
  const speaker = prefs.value.speaker;
  const speakers = deviceLists.value.speakers;

  useEffect(() => {
    if (ref.current) ref.current.srcObject = new MediaStream([track]);
  }, [track]);
  useEffect(() => {
    if (ref.current) void routeToSpeaker(ref.current, speaker);
  }, [speaker, speakers]);
  useEffect(() => {
    if (ref.current) ref.current.volume = volume;
  }, [volume]);
  useEffect(() => {
    if (isBlocked) return;
    ref.current?.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === "NotAllowedError") session.isSoundBlocked.value = true;
    });
  }, [track, isBlocked]);
  return <audio ref={ref} />;
}

export function Voices({ session }: { session: MeetingSession }) {
  const { room } = session;
  const selfId = room.selfId.value;
  const media = room.media.value;
  const voices = [...room.tracks.value.values()].filter((t) => t.kind === "audio" && t.participant_id !== selfId);
  return (
    <div hidden>
      {voices.map((t) => {
        const track = media.get(t.id);
        const volume = volumes.value.get(t.participant_id) ?? 1;
        return track && <Voice key={t.id} session={session} track={track} volume={volume} />;
      })}
    </div>
  );
}
