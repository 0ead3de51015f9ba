// The shapes of messaging: proto/message.proto and group.proto as JSON. What the server may leave out is optional.

export type ConversationKind = "direct" | "group" | "channel" | "meeting";
export type MemberRole = "member" | "admin" | "owner";
export type MemberState = "active" | "gone" | "banned" | "asking" | "refused";

export interface SystemNote {
  event: string;
  actor_id: string;
  user_ids?: string[];
  text: string;
}

export interface Content {
  kind: string;
  text: string;
  attachments?: { name: string; size: number }[];
  note?: SystemNote;
  mentions?: string[];
  is_mentioning_all?: boolean;
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
  draft?: string;
}

export interface Conversation {
  id: string;
  kind: ConversationKind;
  title: string;
  avatar_url?: string;
  peer_id: string;
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

export interface Receipt {
  conversation_id: string;
  user_id: string;
  read_seq: number;
  delivered_seq: number;
}
