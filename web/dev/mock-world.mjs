// The mock's people and meetings, and its REST rows.
import { scene } from "./mock-scene.mjs";

const minuteMs = 60_000;
const now = Date.now();

export const people = [
  ["u1", "ada", "Ada Lovelace", "admin"], ["u2", "grace", "Grace Hopper", "user"], ["u3", "linus", "Linus Åkesson", "user"],
  ["u4", "wang", "王小明", "user"], ["u5", "katherine", "Katherine Johnson", "user"], ["u6", "hedy", "Hedy Lamarr", "user"],
  ["u7", "alan", "Alan Turing", "user"], ["u8", "li", "李娜", "user"], ["u9", "margaret", "Margaret Hamilton", "user"],
  ["u10", "emmy", "Emmy Noether", "user"], ["u11", "srinivasa", "Srinivasa Ramanujan", "user"], ["u12", "mary", "Mary Jackson", "user"],
].map(([id, username, nickname, role]) => ({
  id, username, nickname, role, email: `${username}@example.org`, phone: "", avatar_url: "", description: "",
  locale: "en", time_zone: "Europe/Berlin", is_disabled: id === "u11", created_at_ms: now - 90 * 24 * 60 * minuteMs, updated_at_ms: now,
}));

export function userOf(authorization) {
  return people.find((p) => authorization === `Bearer token-${p.id}`) ?? null;
}

const half = 30 * minuteMs;
const soon = Math.ceil(now / half) * half + half;
const day = 24 * 60 * minuteMs;
let counter = 100;

function meeting(fields) {
  return {
    id: `m${counter++}`, code: "aaa-bbbb-ccc", title: "", description: "", host_id: "u1", host_name: "Ada Lovelace", state: "scheduled",
    scheduled_start_ms: 0, scheduled_end_ms: 0, time_zone: "Europe/Berlin", created_at_ms: now, started_at_ms: 0, ended_at_ms: 0,
    capacity: 500, participant_count: 0, has_password: false, has_waiting_room: false, is_locked: false, are_guests_allowed: true,
    is_muted_on_entry: false, can_participants_share: true, my_role: "host", my_state: "admitted", my_participant_id: "p1", ...fields,
  };
}

export const meetings = [
  meeting({ code: "abc-defg-hij", title: "Design review: meeting client", state: "active", started_at_ms: now - 14 * minuteMs, participant_count: 4 }),
  meeting({ code: "solo-room-one", title: "Ada Lovelace’s meeting", state: "active", started_at_ms: now - 1 * minuteMs }),
  meeting({ code: "wait-room-two", title: "Interview: systems engineer", has_waiting_room: true, has_password: true, scheduled_start_ms: soon, scheduled_end_ms: soon + 2 * half }),
  meeting({ code: "team-week-jjj", title: "Weekly planning", host_id: "u2", host_name: "Grace Hopper", my_role: "participant", scheduled_start_ms: soon + 2 * half, scheduled_end_ms: soon + 3 * half }),
  meeting({ code: "all-hands-big", title: "All hands", scheduled_start_ms: soon + day, scheduled_end_ms: soon + day + 3 * half }),
  meeting({ code: "open-door-any", title: "Open door", is_locked: false }),
  meeting({ code: "lock-room-abc", title: "Board meeting", is_locked: true, host_id: "u2", host_name: "Grace Hopper", state: "active", is_listed: false }),
  meeting({ code: "full-room-abc", title: "Town hall", is_full: true, host_id: "u2", host_name: "Grace Hopper", state: "active", is_listed: false }),
  meeting({ code: "staff-only-abc", title: "Staff meeting", are_guests_allowed: false, host_id: "u2", host_name: "Grace Hopper", state: "active", is_listed: false }),
  meeting({ code: "past-meet-one", title: "Retrospective", state: "ended", started_at_ms: now - 2 * day, ended_at_ms: now - 2 * day + 47 * minuteMs }),
  meeting({ code: "past-meet-two", title: "预算讨论", host_id: "u4", host_name: "王小明", my_role: "participant", state: "ended", started_at_ms: now - 5 * day, ended_at_ms: now - 5 * day + 72 * minuteMs }),
];
const invitations = [];
const codes = [{ code: "PARL-7K2M-91XQ", email: "new@example.org", created_by: "u1", created_at_ms: now - day, expires_at_ms: now + 6 * day, used_by: "" }];

const error = (status, code, message) => ({ status, error: { code, message, request_id: "01JMOCK" } });
const find = (id) => meetings.find((m) => m.id === id || m.code === id);
const list = (items) => ({ body: items });

function signedIn(user) {
  return {
    body: {
      access_token: `token-${user.id}`, expires_in_s: 86400, refresh_token: "r", refresh_expires_in_s: 604800, user, csrf_token: "c", session_id: "s1",
    },
    cookie: [`parlance_csrf=c; Path=/`, `mock_user=${user.id}; Path=/; HttpOnly`],
  };
}

function preview(m) {
  const isAbc = m.code === "abc-defg-hij";
  return {
    id: m.id, code: m.code, title: m.title, host_name: m.host_name, state: m.state, scheduled_start_ms: m.scheduled_start_ms,
    scheduled_end_ms: m.scheduled_end_ms, participant_count: isAbc ? 4 : 0,
    participant_names: isAbc ? ["Grace Hopper", "王小明", "Katherine Johnson"] : [], has_password: m.has_password,
    has_waiting_room: m.has_waiting_room, is_locked: m.is_locked, are_guests_allowed: m.are_guests_allowed, is_full: m.is_full === true,
  };
}

function join({ params, body, user }) {
  const m = find(params[0]);
  if (!m) return error(404, "not_found", "There is no such meeting.");
  if (m.has_password && body.password !== "sesame") return error(403, "permission_denied", "The meeting's password is wrong.");
  const name = user?.nickname ?? body.name;
  const participant = {
    id: "self", meeting_id: m.id, user_id: user?.id ?? "g1", name, avatar_url: "", role: user?.id === m.host_id ? "host" : "participant",
    state: m.has_waiting_room && user?.id !== m.host_id ? "waiting" : "admitted", is_guest: !user, joined_at_ms: Date.now(), left_at_ms: 0,
  };
  return { body: { meeting: m, participant, ...(user ? {} : { access_token: `guest:${name}` }) } };
}

const auditRows = [
  ["login", "ada", "", 2], ["role_changed", "grace", "user to admin", 14], ["login_failed", "alan", "wrong password", 31],
  ["meeting_deleted", "Retrospective", "", 95], ["sessions_revoked", "linus", "Firefox on Linux", 240],
].map(([action, target, detail, minutes], i) => ({
  id: `a${i}`, at_ms: now - minutes * minuteMs, actor_id: "u1", action, target, remote_addr: "192.0.2.7", detail,
}));

const stats = {
  rooms: [
    {
      meeting_id: meetings[0].id,
      peers: ["u1", "u2", "u4", "u5"].map((id, i) => ({
        session_id: `s${i}`, participant_id: `p${i}`, user_id: id, round_trip_ms: [12, 34, 210, 48][i], bytes_in: 1e7, bytes_out: 5e7, packets_in: 1e4,
        packets_out: 4e4, packets_lost_in: 12, loss_out: [0, 0.002, 0.061, 0.01][i], bitrate_in_bps: 1.7e6, bitrate_out_bps: 3.1e6,
        srtp_profile: "AEAD_AES_128_GCM", remote_addr: `198.51.100.${i + 4}:50123`, tracks: [],
      })),
    },
  ],
};

const sessions = [
  { id: "s1", device: "Chrome on Linux", user_agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0", remote_addr: "192.0.2.7", created_at_ms: now - day, last_seen_at_ms: now, is_current: true },
  { id: "s2", device: "Safari on iPhone", user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/605.1", remote_addr: "203.0.113.40", created_at_ms: now - 9 * day, last_seen_at_ms: now - 3 * 60 * minuteMs, is_current: false },
];

const id = "([^/]+)";
const row = (method, pattern, handle) => [method, new RegExp(`^/api/v1${pattern}$`), handle];

export const routes = [
  row("POST", "/auth/login", ({ body }) => {
    const user = people.find((p) => p.username === body.login || p.email === body.login);
    return user && body.password === "correct horse" ? signedIn(user) : error(401, "unauthenticated", "Name or password is wrong.");
  }),
  row("POST", "/auth/register", () => signedIn(people[0])),
  row("POST", "/auth/refresh", () => signedIn(people[0])),
  row("POST", "/auth/logout", () => ({ body: {}, cookie: ["parlance_csrf=; Path=/; Max-Age=0"] })),
  row("GET", "/auth/sessions", () => list({ sessions })),
  row("DELETE", `/auth/sessions/${id}`, () => list({ revoked_count: 1 })),
  row("POST", "/auth/password", ({ body }) => (body.old_password === "wrong" ? error(403, "permission_denied", "old_password: is wrong") : list({}))),
  row("GET", "/users/me", ({ user }) => list(user)),
  row("GET", `/users/${id}`, ({ params }) => list(people.find((p) => p.id === params[0]) ?? people[0])),
  row("PUT", `/users/${id}/avatar`, ({ user }) => list(user)),
  row("PUT", `/users/${id}`, ({ params, body }) => list(Object.assign(people.find((p) => p.id === params[0]), body))),
  row("GET", "/users", ({ query }) => {
    const q = (query.get("q") ?? "").toLowerCase();
    return list({ users: people.filter((p) => (p.username + p.nickname).toLowerCase().includes(q)), next_cursor: "" });
  }),
  row("GET", "/invitations", () => list({ invitations: codes })),
  row("POST", "/invitations", ({ body }) => {
    const made = { code: "PARL-NEW1-CODE", email: body.email ?? "", created_by: "u1", created_at_ms: Date.now(), expires_at_ms: Date.now() + 7 * day, used_by: "" };
    codes.push(made);
    return list(made);
  }),
  row("DELETE", `/invitations/${id}`, ({ params }) => (codes.splice(codes.findIndex((c) => c.code === params[0]), 1), list({}))),
  row("GET", "/audit", () => list({ entries: auditRows, next_cursor: "" })),
  row("GET", "/media/stats", () => list(stats)),
  row("GET", "/webrtc/ice-servers", () => list({ ice_servers: [] })),
  row("GET", "/meetings", ({ query }) => {
    const isEnded = query.get("state") === "ended";
    const shown = scene.hasMeetings ? meetings.filter((m) => (m.state === "ended") === isEnded && m.is_listed !== false) : [];
    return list({ meetings: shown, next_cursor: "" });
  }),
  row("POST", "/meetings", ({ body }) => {
    const made = meeting({ ...body, code: `new-${counter}-mtg`, has_password: !!body.password });
    meetings.push(made);
    return list(made);
  }),
  row("GET", `/meetings/${id}/preview`, ({ params }) => (find(params[0]) ? list(preview(find(params[0]))) : error(404, "not_found", "There is no such meeting."))),
  row("POST", `/meetings/${id}/join`, join),
  row("POST", `/meetings/${id}/(?:leave|end)`, () => list({})),
  row("GET", `/meetings/${id}/invitations`, () => list({ invitations })),
  row("POST", `/meetings/${id}/invitations`, ({ body }) => {
    const person = people.find((p) => p.id === body.user_id);
    const made = {
      id: `i${invitations.length}`, meeting_id: "", user_id: person?.id ?? "", user_name: person?.nickname ?? "", token: person ? "" : "tok", url: "",
      created_at_ms: Date.now(), expires_at_ms: 0, uses_max: 0, uses_count: 0,
    };
    invitations.push(made);
    return list(made);
  }),
  row("DELETE", `/meetings/${id}/invitations/${id}`, () => list({})),
  row("POST", `/meetings/${id}/participants/${id}/(?:mute|admit|refuse)`, () => list({ admitted_count: 1 })),
  row("PUT", `/meetings/${id}/participants/${id}/role`, () => list({})),
  row("DELETE", `/meetings/${id}/participants/${id}`, () => list({})),
  row("GET", `/meetings/${id}`, ({ params }) => (find(params[0]) ? list(find(params[0])) : error(404, "not_found", "none"))),
  row("PUT", `/meetings/${id}`, ({ params, body }) => list(Object.assign(find(params[0]), body))),
  row("DELETE", `/meetings/${id}`, ({ params }) => (meetings.splice(meetings.indexOf(find(params[0])), 1), list({}))),
];
