// Calls about meetings, and what a meeting's link looks like.
import { call, callBlob } from "./api";
import type {
  JoinReply, Meeting, MeetingFields, MeetingInvitation, MeetingPreview, Participant, ParticipantRole, Profile,
} from "./types";

const at = (id: string, rest = "") => `/meetings/${encodeURIComponent(id)}${rest}`;
const who = (id: string, participantId: string, rest = "") => at(id, `/participants/${encodeURIComponent(participantId)}${rest}`);
// A guest has a token of the meeting, everybody else the account's.
export interface Caller {
  token?: string;
}

export function meetingLink(code: string): string {
  return `${location.origin}/m/${code}`;
}

// The code in what somebody pasted: a code, or a link of this or any other address.
export function codeFromText(text: string): string | null {
  const trimmed = text.trim();
  const fromLink = /\/m\/([A-Za-z0-9-]+)/.exec(trimmed)?.[1];
  const code = (fromLink ?? trimmed).toLowerCase().replace(/\s+/g, "-");
  return /^[a-z0-9][a-z0-9-]{2,40}$/.test(code) ? code : null;
}

export interface MeetingPage {
  meetings: Meeting[];
  next_cursor: string;
}

export function listMeetings(state: "upcoming" | "ended", cursor = "", limit = 50): Promise<MeetingPage> {
  const query = new URLSearchParams({ state, limit: String(limit) });
  if (cursor) query.set("cursor", cursor);
  return call<MeetingPage>(`/meetings?${query.toString()}`);
}

export const createMeeting = (fields: MeetingFields) => call<Meeting>("/meetings", { method: "POST", json: fields });
export const getMeeting = (id: string) => call<Meeting>(at(id));
export const updateMeeting = (id: string, fields: MeetingFields) => call<Meeting>(at(id), { method: "PUT", json: fields });
export const deleteMeeting = (id: string) => call<object>(at(id), { method: "DELETE" });
export const previewMeeting = (id: string) => call<MeetingPreview>(at(id, "/preview"));
export const endMeeting = (id: string) => call<Meeting>(at(id, "/end"), { method: "POST", json: {} });

export interface JoinFields {
  name?: string;
  password?: string;
  invitation?: string;
}

export const joinMeeting = (id: string, fields: JoinFields, caller: Caller = {}) =>
  call<JoinReply>(at(id, "/join"), { method: "POST", json: fields, ...caller });
export const leaveMeeting = (id: string, caller: Caller) =>
  call<object>(at(id, "/leave"), { method: "POST", json: {}, ...caller });

export const setParticipantRole = (id: string, participantId: string, role: ParticipantRole) =>
  call<Participant>(who(id, participantId, "/role"), { method: "PUT", json: { role } });
export const removeParticipant = (id: string, participantId: string) =>
  call<object>(who(id, participantId), { method: "DELETE" });
export const muteParticipant = (id: string, participantId: string, kind: "audio" | "video" | "screen") =>
  call<object>(who(id, participantId, "/mute"), { method: "POST", json: { kind } });
export const admitParticipant = (id: string, participantId: string) =>
  call<object>(who(id, participantId, "/admit"), { method: "POST", json: {} });
export const refuseParticipant = (id: string, participantId: string) =>
  call<object>(who(id, participantId, "/refuse"), { method: "POST", json: {} });

export const invite = (id: string, fields: { user_id?: string; uses_max?: number; expires_at_ms?: number }) =>
  call<MeetingInvitation>(at(id, "/invitations"), { method: "POST", json: fields });
export const listInvitations = async (id: string) =>
  (await call<{ invitations?: MeetingInvitation[] }>(at(id, "/invitations"))).invitations ?? [];
export const revokeInvitation = (id: string, invitationId: string) =>
  call<object>(at(id, `/invitations/${encodeURIComponent(invitationId)}`), { method: "DELETE" });

export async function searchUsers(q: string, limit = 8): Promise<Profile[]> {
  const query = new URLSearchParams({ q, limit: String(limit) });
  return (await call<{ users?: Profile[] }>(`/users?${query.toString()}`)).users ?? [];
}

export function saveFile(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export async function saveCalendar(meeting: Meeting): Promise<void> {
  saveFile(await callBlob(at(meeting.id, "/calendar.ics")), `${meeting.code}.ics`);
}
