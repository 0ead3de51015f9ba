// The frames of /ws/signaling (docs/signaling.md) that this client reads.
import type { IceServer, Meeting, Member, Track } from "../app/types";

export interface RoomJoined {
  type: "room_joined";
  is_resumed: boolean;
  resume_token: string;
  participant_id: string;
  session_id: string;
  meeting: Meeting;
  participants: Member[];
  waiting: Member[];
  tracks: Track[];
  ice_servers: IceServer[];
  server_time_ms: number;
}

export interface Place {
  mid: string;
  track_id: string;
}

export interface OfferFrame {
  type: "offer";
  revision: number;
  sdp: string;
  places?: Place[];
}

export interface AnswerFrame {
  type: "answer";
  sdp: string;
  tracks?: Track[];
}

export type QualityCause = "uplink_loss" | "downlink_loss" | "round_trip" | "none";
export type GoneReason = "left" | "removed" | "timeout" | "replaced";

export type EventFrame =
  | RoomJoined
  | OfferFrame
  | { type: "participant_joined" | "participant_changed" | "participant_waiting"; participant: Member }
  | { type: "participant_left" | "participant_not_waiting"; participant_id: string; reason?: GoneReason }
  | { type: "track_published" | "track_changed"; track: Track }
  | { type: "track_unpublished"; track_id: string; participant_id: string }
  | { type: "speakers"; speakers?: { participant_id: string; level: number }[] }
  | {
      type: "quality";
      participant_id: string;
      score: number;
      cause: QualityCause;
      loss: number;
      round_trip_ms: number;
    }
  | { type: "reaction"; participant_id: string; emoji: string }
  | { type: "mute_requested"; kind: "audio" | "video" | "screen"; actor_id: string }
  | { type: "meeting_changed"; meeting: Meeting }
  | { type: "meeting_ended"; actor_id: string }
  | { type: "removed" | "refused" }
  | { type: "connection"; connection: "publish" | "subscribe"; state: "connected" | "disconnected" }
  | { type: "server_closing"; retry_after_ms: number };

export interface WaitingFrame {
  type: "waiting";
  meeting: Meeting;
}

export interface ErrorFrame {
  type: "error";
  id?: number;
  code: string;
  message: string;
  request_id: string;
}

export type AnyFrame = { type: string; id?: number } & Record<string, unknown>;
