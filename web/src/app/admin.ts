// Calls that only administrators may make.
import { call } from "./api";
import type { AccountInvitation, AuditEntry, Profile, RoomStats } from "./types";

export interface UserPage {
  users?: Profile[];
  next_cursor?: string;
}
export interface AuditPage {
  entries?: AuditEntry[];
  next_cursor?: string;
}

function query(fields: Record<string, string>): string {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value)).toString();
}
const user = (id: string, rest = "") => `/users/${encodeURIComponent(id)}${rest}`;

// Nothing typed: everybody.
export const listUsers = (q: string, cursor = "") => call<UserPage>(`/users?${query({ q, cursor, limit: "50" })}`);
export const changeUser = (id: string, fields: { role?: "user" | "admin"; is_disabled?: boolean }) =>
  call<Profile>(user(id), { method: "PUT", json: fields });
export const resetPassword = (id: string, password: string) =>
  call<object>(`/auth/users/${encodeURIComponent(id)}/password`, { method: "POST", json: { new_password: password } });

export const listCodes = async () => (await call<{ invitations?: AccountInvitation[] }>("/invitations")).invitations ?? [];
export const makeCode = (email: string) => call<AccountInvitation>("/invitations", { method: "POST", json: { email } });
export const dropCode = (code: string) => call<object>(`/invitations/${encodeURIComponent(code)}`, { method: "DELETE" });

export const readAudit = (cursor = "") => call<AuditPage>(`/audit?${query({ cursor, limit: "20" })}`);
export const readStats = async () => (await call<{ rooms?: RoomStats[] }>("/media/stats")).rooms ?? [];
