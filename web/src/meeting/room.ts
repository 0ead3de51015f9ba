// What is known of the meeting, as signals: who is inside, which tracks there are, who speaks, whose hand is up. Changed
// by frames of the signaling socket alone.
import { batch, computed, signal } from "@preact/signals";
import type { Meeting, Member, Source, Track } from "../app/types";
import type { EventFrame, QualityCause, RoomJoined } from "./frames";

export interface Quality {
  score: number;
  cause: QualityCause;
  loss: number;
  roundTripMs: number;
}

export interface FlyingReaction {
  id: number;
  participantId: string;
  emoji: string;
}

const reactionShownMs = 5_000;
const reactionsMost = 24;
// Below this nobody is said to speak.
const speakingLevel = 0.02;
const speakerHoldMs = 1_500;

function without<K, V>(map: ReadonlyMap<K, V>, key: K): Map<K, V> {
  const next = new Map(map);
  next.delete(key);
  return next;
}

export class Room {
  readonly meeting;
  readonly selfId = signal("");
  readonly members = signal<ReadonlyMap<string, Member>>(new Map());
  readonly waiting = signal<ReadonlyMap<string, Member>>(new Map());
  readonly tracks = signal<ReadonlyMap<string, Track>>(new Map());
  readonly media = signal<ReadonlyMap<string, MediaStreamTrack>>(new Map());
  readonly speakers = signal<ReadonlyMap<string, number>>(new Map());
  // When each last spoke: whoever did recently should be seen.
  readonly spokeAtMs = signal<ReadonlyMap<string, number>>(new Map());
  // The other who speaks now, or did last: changes only when that one has been silent for a while.
  readonly activeSpeaker = signal("");
  readonly quality = signal<ReadonlyMap<string, Quality>>(new Map());
  readonly reactions = signal<FlyingReaction[]>([]);
  readonly clockSkewMs = signal(0);
  private nextReaction = 1;

  readonly self = computed(() => this.members.value.get(this.selfId.value));
  readonly isModerator = computed(() => {
    const role = this.self.value?.role ?? this.meeting.value.my_role;
    return role === "host" || role === "co_host";
  });
  readonly isHost = computed(() => (this.self.value?.role ?? this.meeting.value.my_role) === "host");
  // In the order in which they were raised.
  readonly hands = computed(() =>
    [...this.members.value.values()]
      .filter((m) => m.is_hand_raised)
      .sort((a, b) => a.hand_raised_at_ms - b.hand_raised_at_ms),
  );
  // Tracks by owner and source, for tiles and lists.
  readonly tracksOf = computed(() => {
    const owners = new Map<string, Partial<Record<Source, Track>>>();
    for (const track of this.tracks.value.values()) {
      const own = owners.get(track.participant_id) ?? {};
      own[track.source] = track;
      owners.set(track.participant_id, own);
    }
    return owners;
  });

  constructor(meeting: Meeting) {
    this.meeting = signal(meeting);
  }

  track(participantId: string, source: Source): Track | undefined {
    return this.tracksOf.value.get(participantId)?.[source];
  }

  nameOf(participantId: string): string {
    return this.members.value.get(participantId)?.name ?? "";
  }

  reset(frame: RoomJoined): void {
    batch(() => {
      this.meeting.value = frame.meeting;
      this.selfId.value = frame.participant_id;
      this.members.value = new Map((frame.participants ?? []).map((m) => [m.id, m]));
      this.waiting.value = new Map((frame.waiting ?? []).map((m) => [m.id, m]));
      this.tracks.value = new Map((frame.tracks ?? []).map((t) => [t.id, t]));
      this.clockSkewMs.value = frame.server_time_ms - Date.now();
      if (!frame.is_resumed) {
        this.speakers.value = new Map();
        this.quality.value = new Map();
      }
    });
  }

  addTracks(tracks: Track[]): void {
    const next = new Map(this.tracks.value);
    for (const track of tracks) next.set(track.id, track);
    this.tracks.value = next;
  }

  apply(event: EventFrame): void {
    switch (event.type) {
      case "participant_joined":
      case "participant_changed":
        this.members.value = new Map(this.members.value).set(event.participant.id, event.participant);
        break;
      case "participant_left":
        this.forget(event.participant_id);
        break;
      case "participant_waiting":
        this.waiting.value = new Map(this.waiting.value).set(event.participant.id, event.participant);
        break;
      case "participant_not_waiting":
        this.waiting.value = without(this.waiting.value, event.participant_id);
        break;
      case "track_published":
      case "track_changed":
        this.tracks.value = new Map(this.tracks.value).set(event.track.id, event.track);
        break;
      case "track_unpublished":
        this.tracks.value = without(this.tracks.value, event.track_id);
        break;
      case "speakers":
        this.onSpeakers(event.speakers ?? []);
        break;
      case "quality":
        this.quality.value = new Map(this.quality.value).set(event.participant_id, {
          score: event.score,
          cause: event.cause,
          loss: event.loss,
          roundTripMs: event.round_trip_ms,
        });
        break;
      case "reaction":
        this.addReaction(event.participant_id, event.emoji);
        break;
      case "meeting_changed":
        // What only concerns the reader (my_role) is not told to all alike.
        this.meeting.value = { ...this.meeting.value, ...event.meeting, my_role: this.meeting.value.my_role ?? "participant" };
        break;
      default:
        break;
    }
  }

  addReaction(participantId: string, emoji: string): void {
    const reaction = { id: this.nextReaction++, participantId, emoji };
    this.reactions.value = [...this.reactions.value, reaction].slice(-reactionsMost);
    setTimeout(() => (this.reactions.value = this.reactions.value.filter((r) => r !== reaction)), reactionShownMs);
  }

  private forget(id: string): void {
    batch(() => {
      this.members.value = without(this.members.value, id);
      this.speakers.value = without(this.speakers.value, id);
      this.quality.value = without(this.quality.value, id);
      const left = [...this.tracks.value].filter(([, t]) => t.participant_id !== id);
      if (left.length !== this.tracks.value.size) this.tracks.value = new Map(left);
    });
  }

  private onSpeakers(list: { participant_id: string; level: number }[]): void {
    const loud = list.filter((s) => s.level >= speakingLevel);
    batch(() => {
      this.speakers.value = new Map(loud.map((s) => [s.participant_id, s.level]));
      if (!loud.length) return;
      const spoke = new Map(this.spokeAtMs.value);
      for (const s of loud) spoke.set(s.participant_id, Date.now());
      this.spokeAtMs.value = spoke;
      const others = loud.filter((s) => s.participant_id !== this.selfId.value);
      const active = this.activeSpeaker.value;
      const silentMs = Date.now() - (spoke.get(active) ?? 0);
      if (others[0] && (!this.members.value.has(active) || silentMs > speakerHoldMs))
        this.activeSpeaker.value = others[0].participant_id;
    });
  }
}
