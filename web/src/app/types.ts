// The shapes of the REST API and of the signaling socket: proto/*.proto as snake_case JSON. Fields that the server may
// leave out are optional here.

export type Role = "none" | "guest" | "user" | "admin";

export interface Profile {
  id: string;
  username: string;
  nickname: string;
  email: string;
  phone: string;
  avatar_url: string;
  description: string;
  locale: string;
  time_zone: string;
  role: Role;
  is_disabled: boolean;
  created_at_ms: number;
  updated_at_ms: number;
}

export interface LoginReply {
  access_token: string;
  expires_in_s: number;
  refresh_token: string;
  refresh_expires_in_s: number;
  user: Profile;
  csrf_token: string;
  session_id: string;
}

export interface SignIn {
  id: string;
  device: string;
  user_agent: string;
  remote_addr: string;
  created_at_ms: number;
  last_seen_at_ms: number;
  is_current: boolean;
}

export interface AccountInvitation {
  code: string;
  email: string;
  created_by: string;
  created_at_ms: number;
  expires_at_ms: number;
  used_by: string;
}

export interface AuditEntry {
  id: string;
  at_ms: number;
  actor_id: string;
  action: string;
  target: string;
  remote_addr: string;
  detail: string;
}

export type MeetingState = "scheduled" | "active" | "ended";
export type ParticipantRole = "participant" | "co_host" | "host";
export type ParticipantState = "invited" | "waiting" | "admitted" | "left" | "refused" | "removed";

export interface Meeting {
  id: string;
  code: string;
  title: string;
  description: string;
  host_id: string;
  host_name: string;
  state: MeetingState;
  scheduled_start_ms: number;
  scheduled_end_ms: number;
  time_zone: string;
  created_at_ms: number;
  started_at_ms: number;
  ended_at_ms: number;
  capacity: number;
  participant_count: number;
  has_password: boolean;
  has_waiting_room: boolean;
  is_locked: boolean;
  are_guests_allowed: boolean;
  is_muted_on_entry: boolean;
  can_participants_share: boolean;
  my_role?: ParticipantRole;
  my_state?: ParticipantState;
  my_participant_id?: string;
}

export interface MeetingPreview {
  id: string;
  code: string;
  title: string;
  host_name: string;
  state: MeetingState;
  scheduled_start_ms: number;
  scheduled_end_ms: number;
  participant_count: number;
  participant_names: string[];
  has_password: boolean;
  has_waiting_room: boolean;
  is_locked: boolean;
  are_guests_allowed: boolean;
  is_full: boolean;
}

// What the create and edit forms send; absent fields stay as they are.
export interface MeetingFields {
  title?: string;
  description?: string;
  scheduled_start_ms?: number;
  scheduled_end_ms?: number;
  time_zone?: string;
  capacity?: number;
  password?: string;
  has_waiting_room?: boolean;
  are_guests_allowed?: boolean;
  is_muted_on_entry?: boolean;
  can_participants_share?: boolean;
  is_locked?: boolean;
  invite_user_ids?: string[];
}

export interface Participant {
  id: string;
  meeting_id: string;
  user_id: string;
  name: string;
  avatar_url: string;
  role: ParticipantRole;
  state: ParticipantState;
  is_guest: boolean;
  joined_at_ms: number;
  left_at_ms: number;
}

export interface JoinReply {
  meeting: Meeting;
  participant: Participant;
  access_token?: string;
  expires_in_s?: number;
}

export interface MeetingInvitation {
  id: string;
  meeting_id: string;
  user_id: string;
  user_name: string;
  token: string;
  url: string;
  created_at_ms: number;
  expires_at_ms: number;
  uses_max: number;
  uses_count: number;
}

export interface IceServer {
  urls: string[];
  username: string;
  credential: string;
}

export type Source = "microphone" | "camera" | "screen" | "screen_audio";

export interface Track {
  id: string;
  session_id: string;
  participant_id: string;
  user_id: string;
  mid: string;
  source: Source;
  kind: "audio" | "video";
  codec: string;
  is_muted: boolean;
  rids: string[];
}

// Somebody inside a meeting, as the signaling socket tells.
export interface Member {
  id: string;
  user_id: string;
  name: string;
  avatar_url: string;
  role: ParticipantRole;
  is_guest: boolean;
  is_hand_raised: boolean;
  hand_raised_at_ms: number;
  joined_at_ms: number;
  is_connected: boolean;
}

export interface PeerStats {
  session_id: string;
  participant_id: string;
  user_id: string;
  round_trip_ms: number;
  bitrate_in_bps: number;
  bitrate_out_bps: number;
  packets_in: number;
  packets_lost_in: number;
  loss_out: number;
  srtp_profile: string;
  remote_addr: string;
  tracks: { track: Track; bitrate_bps: number; packets_lost: number; packets: number }[];
}

export interface RoomStats {
  meeting_id: string;
  peers: PeerStats[];
}
