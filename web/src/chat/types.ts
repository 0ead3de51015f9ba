// The shapes of messaging: proto/message.proto and group.proto as JSON. What the server may leave out is optional.

export type ConversationKind = "direct" | "group" | "channel" | "meeting";
export type MemberRole = "member" | "admin" | "owner";
export type MemberState = "active" | "gone" | "banned" | "asking" | "refused";

export type JoinRule = "invited" | "ask" | "open";
export type ContentKind = "text" | "image" | "file" | "voice" | "video" | "location" | "card" | "system";

export interface SystemNote {
  event: string;
  actor_id: string;
  user_ids?: string[];
  text: string;
  meeting_id?: string;
  meeting_code?: string;
  duration_ms?: number;
}

// Senders give file_id; the rest is what the server knows of the file.
export interface Attachment {
  file_id: string;
  name: string;
  content_type: string;
  size: number;
  width?: number;
  height?: number;
  duration_ms?: number;
  // Base64 of loudness values of a byte each.
  waveform?: string;
  has_thumbnail?: boolean;
}

export interface Location {
  latitude: number;
  longitude: number;
  name: string;
}

export interface Content {
  kind: ContentKind;
  text: string;
  attachments?: Attachment[];
  location?: Location;
  card_user_id?: string;
  note?: SystemNote;
  mentions?: string[];
  is_mentioning_all?: boolean;
}

export interface ForwardedFrom {
  conversation_id: string;
  sender_id: string;
  sender_name: string;
  sent_at_ms: number;
}

export interface Reaction {
  emoji: string;
  count: number;
  is_mine: boolean;
  user_ids?: string[];
}

export interface Message {
  conversation_id: string;
  seq: number;
  sender_id: string;
  client_msg_id: string;
  content?: Content;
  reply_to_seq?: number;
  // The message that began the thread this one is in; how many answers the thread begun here has.
  thread_seq?: number;
  thread_count?: number;
  forwarded_from?: ForwardedFrom;
  is_pinned?: boolean;
  created_at_ms: number;
  edited_at_ms?: number;
  recalled_at_ms?: number;
  recalled_by?: string;
  reactions?: Reaction[];
}

export interface Member {
  conversation_id: string;
  user_id: string;
  role: MemberRole;
  state: MemberState;
  nickname?: string;
  muted_until_ms?: number;
  read_seq: number;
  delivered_seq: number;
}

export interface Own {
  role: MemberRole;
  state: MemberState;
  read_seq: number;
  unread_count: number;
  mention_count: number;
  is_marked_unread?: boolean;
  // No notifications before; -1: never.
  quiet_until_ms?: number;
  is_pinned?: boolean;
  is_archived?: boolean;
  draft?: string;
}

export interface Conversation {
  id: string;
  kind: ConversationKind;
  title: string;
  avatar_url?: string;
  announcement?: string;
  peer_id: string;
  meeting_id?: string;
  owner_id?: string;
  join_rule?: JoinRule;
  retention_days?: number;
  members_may_add?: boolean;
  is_consent_needed?: boolean;
  members_may_mention_all?: boolean;
  member_count: number;
  last_seq: number;
  rev: number;
  active_at_ms: number;
  is_muted?: boolean;
  is_dissolved?: boolean;
  own?: Own;
  last_message?: Message;
}

export type ChangeType = "message" | "edited" | "recalled" | "reaction" | "pinned" | "unpinned" | "member" | "conversation";

export interface Change {
  conversation_id: string;
  rev: number;
  prev_rev: number;
  type: ChangeType;
  message?: Message;
  member?: Member;
  conversation?: Conversation;
  actor_id: string;
  emoji?: string;
  is_removed?: boolean;
}

export interface ChangeList {
  changes?: Change[];
  has_more: boolean;
  rev: number;
}

export interface SyncReply {
  cursor: string;
  is_reset: boolean;
  conversations?: Conversation[];
  open_changes?: ChangeList[];
  has_more: boolean;
  is_partial?: boolean;
}

export interface History {
  messages?: Message[];
  has_older: boolean;
  has_newer: boolean;
}

export interface SendReply {
  conversation_id: string;
  seq: number;
}

export type InvitationState = "offered" | "accepted" | "declined" | "revoked";

// To a group: what one may know of it before one answers.
export interface Invitation {
  conversation_id: string;
  user_id: string;
  inviter_id: string;
  state: InvitationState;
  note?: string;
  created_at_ms: number;
  expires_at_ms: number;
  kind: ConversationKind;
  title: string;
  avatar_url?: string;
  member_count: number;
}

export interface InviteLink {
  id: string;
  conversation_id: string;
  // Only in the answer to its making.
  token?: string;
  created_by: string;
  created_at_ms: number;
  expires_at_ms: number;
  max_uses: number;
  use_count: number;
}

// Where an invitation link leads.
export interface InviteLinkView {
  conversation_id: string;
  kind: ConversationKind;
  title: string;
  avatar_url?: string;
  member_count: number;
  is_asking?: boolean;
  is_member?: boolean;
  expires_at_ms: number;
  // Of this page: it was asked just now.
  hasAsked?: boolean;
}

export interface Receipt {
  conversation_id: string;
  user_id: string;
  read_seq: number;
  delivered_seq: number;
}
