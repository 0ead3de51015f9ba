// The mock's messaging socket: a few conversations out of memory, as docs/messaging.md says them. What scenes need only.
import { scene } from "./mock-scene.mjs";

const minuteMs = 60_000;
const me = "u1";
const sockets = new Set();
let conversations = new Map();

export function tellIm(frame) {
  for (const socket of sockets) socket.send(JSON.stringify(frame));
}

export function cutIm() {
  for (const socket of sockets) socket.terminate();
}

const talk = [
  ["u2", "Morning! The new build is on the **staging** server."], ["u2", "Could somebody have a look at the joining page? `npm run shots` draws it."],
  ["u4", "好的，我下午看一下。"], ["u1", "I did already: looks good, one thing is off on phones."], ["u1", "Details: https://example.org/notes/42."],
  ["u5", "Thanks! ❤️"], ["u2", "```\nmake test\nmake bench-im\n```"], ["u4", "周五一起吃午饭吗？"], ["u5", "Yes, gladly."],
];

function conversation(id, kind, fields, lines, readTo, startMs) {
  const members = fields.members.map((user_id, i) => ({
    conversation_id: id, user_id, role: i ? "member" : "owner", state: "active", read_seq: user_id === me ? readTo : lines.length - 1, delivered_seq: lines.length,
  }));
  const messages = lines.map(([sender_id, text], i) => ({
    conversation_id: id, seq: i + 1, rev: i + 1, id: `${id}-${i}`, sender_id, client_msg_id: `${id}-k${i}`, content: { kind: "text", text },
    created_at_ms: startMs + i * 3 * minuteMs, reactions: [],
  }));
  return { id, kind, title: fields.title ?? "", peer_id: fields.peer ?? "", members, messages, readTo, rev: lines.length, activeMs: messages.at(-1)?.created_at_ms ?? startMs };
}

export function resetIm() {
  const now = Date.now();
  const long = Array.from({ length: Number(process.env.MOCK_LINES ?? 150) }, (_, i) => [i % 3 ? "u2" : "u1", `Line ${i + 1} of a long talk`]);
  const team = conversation("c1", "group", { title: "Design team", members: ["u1", "u2", "u4", "u5"] }, talk, 7, now - 26 * 60 * minuteMs);
  team.messages.slice(5).forEach((m, i) => (m.created_at_ms = now - (5 - i) * minuteMs));
  team.messages[3].edited_at_ms = now;
  team.messages[3].reply_to_seq = 2;
  team.messages[3].reactions = [{ emoji: "👍", count: 2, is_mine: true, user_ids: ["u1", "u2"] }, { emoji: "🎉", count: 1, is_mine: false, user_ids: ["u5"] }];
  Object.assign(team.messages[5], { content: undefined, recalled_at_ms: now, recalled_by: "u5" });
  const more = (sender_id, content, fields = {}) => {
    const seq = team.messages.length + 1;
    team.messages.push({
      conversation_id: "c1", seq, rev: seq, id: `c1-${seq}`, sender_id, client_msg_id: `c1-k${seq}`, content: { kind: "text", text: "", ...content }, created_at_ms: now - 2 * minuteMs,
      reactions: [], ...fields,
    });
    team.rev = seq;
  };
  if (scene.isRich) {
    team.messages[1].thread_count = 2;
    team.messages[1].is_pinned = true;
    more("u4", { text: "On it." }, { thread_seq: 2 });
    more("u2", { text: "Thank you 🙌" }, { thread_seq: 2 });
    more("u5", { text: "@Ada Lovelace @所有人 the slides are ready 🎉", mentions: ["u1"], is_mentioning_all: true });
    more("u2", { text: "The office is closed on Monday." }, { forwarded_from: { conversation_id: "c4", sender_id: "u5", sender_name: "", sent_at_ms: now } });
    more("u4", { kind: "location", location: { latitude: 52.52, longitude: 13.405, name: "Alexanderplatz, Berlin" } });
    more("u1", { kind: "card", card_user_id: "u6" });
    more("u2", { text: "🎉🎉" });
    more("", { kind: "system", note: { event: "call_started", actor_id: "u2", text: "", meeting_id: "m100", meeting_code: "abc-defg-hij" } });
    more("", { kind: "system", note: { event: "call_missed", actor_id: "u5", text: "", meeting_id: "other" } });
  }
  if (scene.hasFiles) {
    const file = (file_id, name, fields = {}) => ({ file_id, name, content_type: "", size: 482_133, width: 1200, height: 800, has_thumbnail: true, ...fields });
    const waveform = Buffer.from(Array.from({ length: 64 }, (_, i) => 40 + Math.abs(Math.sin(i / 3) * Math.cos(i / 7)) * 215)).toString("base64");
    more("u2", { kind: "image", text: "Here is the view from the roof", attachments: [file("p1", "roof.png")] });
    more("u1", { kind: "image", attachments: [file("p2", "one.jpg"), file("p3", "two.jpg"), file("p4", "three.jpg")] });
    more("u5", { kind: "file", attachments: [file("d1", "Quarterly plan 2026.pdf", { has_thumbnail: false }), file("d2", "figures.csv", { size: 912 })] });
    more("u4", { kind: "voice", attachments: [file("v1", "voice.webm", { duration_ms: 14_400, waveform })] });
    more("u1", { kind: "voice", attachments: [file("v2", "voice.webm", { duration_ms: 5_100, waveform })] });
    more("u2", { kind: "video", attachments: [file("w1", "walk.mp4", { duration_ms: 63_000, size: 8_100_000 })] });
  }
  team.activeMs = now - 2 * minuteMs;
  const all = [
    team,
    conversation("c2", "direct", { peer: "u2", members: ["u1", "u2"] }, long, long.length, now - 20 * 60 * minuteMs),
    conversation("c3", "direct", { peer: "u4", members: ["u1", "u4"] }, [["u1", "会议改到三点。"], ["u4", "收到，谢谢！"]], 1, now - 3 * 24 * 60 * minuteMs),
    conversation("c4", "channel", { title: "Announcements", members: ["u5", "u1"] }, [["u5", "The office is closed on Monday."]], 1, now - 6 * 24 * 60 * minuteMs),
  ];
  conversations = new Map(scene.hasMeetings ? all.map((c) => [c.id, c]) : []);
}

function shape(c) {
  const isReader = c.kind === "channel";
  return {
    id: c.id, kind: c.kind, title: c.title, peer_id: c.peer_id, member_count: c.members.length, last_seq: c.messages.length, rev: c.rev, active_at_ms: c.activeMs,
    is_muted: false, is_dissolved: false, last_message: c.messages.at(-1),
    own: { role: isReader ? "member" : "owner", state: "active", read_seq: c.readTo, unread_count: c.messages.length - c.readTo, mention_count: scene.isRich && c.id === "c1" ? 1 : 0, draft: "", ...c.own },
  };
}

function change(c, type, message, more = {}) {
  const prev_rev = c.rev;
  c.rev += 1;
  tellIm({ change: { conversation_id: c.id, rev: c.rev, prev_rev, at_ms: Date.now(), type, message, actor_id: me, ...more } });
}

export function sayIm(id, sender_id, content, client_msg_id = `x${Math.random()}`, reply_to_seq = 0, thread_seq = 0) {
  const c = conversations.get(id);
  const m = { conversation_id: id, seq: c.messages.length + 1, rev: c.rev + 1, id: `${id}-${c.rev}`, sender_id, client_msg_id, reply_to_seq, thread_seq, content: typeof content === "string" ? { kind: "text", text: content } : content, created_at_ms: Date.now(), reactions: [] };
  c.messages.push(m);
  c.activeMs = m.created_at_ms;
  if (sender_id === me) c.readTo = m.seq;
  change(c, "message", m);
  return m;
}

const own = { status: "online", text: "", emoji: "", shown_to: "everyone", last_seen_to: "everyone" };
const states = {
  u2: { status: "online", text: "Writing a compiler", emoji: "⚙️" }, u4: { status: "away" }, u5: { status: "do_not_disturb" }, u6: { status: "offline", last_seen_ms: Date.now() - 3 * 60 * minuteMs },
};
const not_found = { error: { code: "not_found", message: "There is no such conversation.", request_id: "mock" } };

const invitation = (conversation_id, user_id, inviter_id, title, note) => ({
  conversation_id, user_id, inviter_id, state: "offered", note, created_at_ms: Date.now(), expires_at_ms: Date.now() + 14 * 1440 * minuteMs, kind: "group", title, avatar_url: "", member_count: 12,
});

const answers = {
  ping: () => ({ server_time_ms: Date.now() }), open: () => ({}), typing: () => ({}), mark_delivered: () => ({}),
  set_own: ({ id, ...fields }) => ((conversations.get(id).own = { ...conversations.get(id).own, ...fields }), shape(conversations.get(id))),
  sync: () => ({ cursor: "k", is_reset: true, conversations: [...conversations.values()].map(shape), open_changes: [], has_more: false }),
  get_conversation: ({ id: wanted }) => {
    const id = wanted.startsWith("m:") ? "c1" : wanted; // every meeting's chat is the team's
    return conversations.has(id) ? shape(conversations.get(id)) : not_found;
  },
  get_changes: ({ id }) => ({ changes: [], has_more: false, rev: conversations.get(id)?.rev ?? 0 }),
  list_members: ({ id, state }) => ({
    members: state === "asking" ? [{ conversation_id: id, user_id: "u9", role: "member", state, read_seq: 0, delivered_seq: 0 }] : state ? [] : (conversations.get(id)?.members ?? []),
    next_cursor: "",
  }),
  get_message_history: ({ id, limit, before_seq, after_seq, around_seq, thread_seq, is_pinned }) => {
    const all = conversations.get(id)?.messages;
    if (!all) return not_found;
    if (thread_seq || is_pinned) return { messages: all.filter((m) => (is_pinned ? m.is_pinned : m.thread_seq === thread_seq)), has_older: false, has_newer: false };
    const from = after_seq ? after_seq : around_seq ? Math.max(0, around_seq - limit / 2) : Math.max(0, (before_seq ? before_seq - 1 : all.length) - limit);
    const to = Math.min(all.length, before_seq ? before_seq - 1 : from + limit);
    return { messages: all.slice(from, to), has_older: from > 0, has_newer: to < all.length };
  },
  mark_as_read: ({ id, seq }) => ((conversations.get(id).readTo = seq), { read_seq: seq }),
  send_message: ({ conversation_id, client_msg_id, content: given, reply_to_seq, to_user_id, thread_seq, forward_conversation_id, forward_seq }) => {
    const content = given ?? conversations.get(forward_conversation_id).messages[forward_seq - 1].content;
    if (content.text === "refuse me") return { error: { code: "permission_denied", message: "no", request_id: "mock" } };
    const id = conversation_id || `d-${to_user_id}`;
    if (!conversations.has(id)) conversations.set(id, conversation(id, "direct", { peer: to_user_id, members: [me, to_user_id] }, [], 0, Date.now()));
    const m = sayIm(id, me, content, client_msg_id, reply_to_seq, thread_seq);
    return { conversation_id: id, seq: m.seq, rev: m.rev, id: m.id, created_at_ms: m.created_at_ms, is_duplicate: false };
  },
  edit_message: ({ id, seq, content }) => {
    const c = conversations.get(id);
    Object.assign(c.messages[seq - 1], { content, edited_at_ms: Date.now() });
    change(c, "edited", c.messages[seq - 1]);
    return c.messages[seq - 1];
  },
  recall_message: ({ id, seq }) => {
    const c = conversations.get(id);
    Object.assign(c.messages[seq - 1], { content: undefined, recalled_at_ms: Date.now() });
    change(c, "recalled", c.messages[seq - 1]);
    return c.messages[seq - 1];
  },
  pin: ({ id, seq, is_removed }) => {
    const c = conversations.get(id);
    c.messages[seq - 1].is_pinned = !is_removed;
    change(c, is_removed ? "unpinned" : "pinned", c.messages[seq - 1]);
    return c.messages[seq - 1];
  },
  start_call: () => ({ meeting_id: "m100", meeting_code: "abc-defg-hij", is_new: true }), update_group: ({ id, ...fields }) => shape(Object.assign(conversations.get(id), fields)),
  list_scheduled: () => ({ messages: [{ id: "s1", send_at_ms: Date.now() + 3 * 60 * minuteMs, request: { content: { kind: "text", text: "Reminder: the review begins at three." } }, error: "" }] }),
  list_contacts: ({ state }) => ({ contacts: ({ "": ["u2", "u4", "u5"], asked: ["u9"], requested: ["u10"], blocked: ["u7"] }[state] ?? []).map((user_id) => ({ user_id, state: state || "friend", note: state === "asked" ? "We met at the conference" : "", alias: "" })) }),
  request_contact: () => ({}), answer_contact: () => ({}), set_contact: () => ({}), remove_contact: () => ({}), set_member: () => ({}), join_group: ({ id }) => ({ id, own: { state: "asking" } }),
  get_conversations: () => ({ conversations: [], next_cursor: "" }),
  delete_for_me: () => ({}), device: () => ({}),
  watch: ({ user_ids }) => ({ presences: user_ids.map((user_id) => ({ user_id, status: "offline", version: 1, ...states[user_id] })) }),
  get_own_presence: () => own, set_presence: (fields) => Object.assign(own, fields),
  get_receipts: ({ id }) => ({ members: conversations.get(id).members, read_count: 2, delivered_count: 3 }),
  react: ({ id, seq, emoji, is_removed }) => {
    const c = conversations.get(id);
    const m = c.messages[seq - 1];
    m.reactions = [...m.reactions.filter((r) => r.emoji !== emoji), ...(is_removed ? [] : [{ emoji, count: 1, is_mine: false, user_ids: [me] }])];
    change(c, "reaction", m, { emoji, is_removed });
    return m;
  },
  search: ({ query = "", sender_id, id, kind }) => ({
    messages: [...conversations.values()].filter((c) => !id || c.id === id).flatMap((c) => c.messages).filter((m) =>
      m.content?.text.toLowerCase().includes(query.toLowerCase()) && (!sender_id || m.sender_id === sender_id) && (!kind || m.content.kind === kind)).slice(0, 30),
    next_cursor: query === "line" ? "more" : "",
  }),
  list_invitations: () => ({ invitations: scene.isInvited ? [invitation("c9", me, "u2", "Hiking in the Alps", "We meet on the second Saturday of each month."), invitation("c10", me, "u4", "读书会", "")] : [], next_cursor: "" }),
  list_group_invitations: ({ id }) => ({ invitations: [invitation(id, "u9", me, "Design team", "")], next_cursor: "" }),
  list_invite_links: ({ id }) => ({ links: [{ id: "l1", conversation_id: id, created_by: me, created_at_ms: Date.now(), expires_at_ms: Date.now() + 7 * 1440 * minuteMs, max_uses: 10, use_count: 3 }] }),
  create_invite_link: ({ id }) => ({ id: "l2", conversation_id: id, token: "mock_token-".padEnd(43, "x"), created_by: me, created_at_ms: Date.now(), expires_at_ms: Date.now(), max_uses: 0, use_count: 0 }),
  create_group: ({ title, user_ids }) => {
    const c = conversation(`g${conversations.size}`, "group", { title, members: [me, ...user_ids] }, [], 0, Date.now());
    conversations.set(c.id, c);
    return shape(c);
  },
};

export function openIm(socket) {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  const send = (frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame));
  socket.on("message", (text) => {
    const { id, ...rest } = JSON.parse(text);
    const [[name, body]] = Object.entries(rest);
    if (name === "authenticate") {
      send({ id, authenticate: { user_id: me } });
      return send({ ready: { user_id: me } });
    }
    const reply = answers[name]?.(body) ?? { error: { code: "invalid_argument", message: `no ${name}`, request_id: "mock" } };
    return send(reply.error ? { id, error: reply.error } : { id, [name]: reply });
  });
}
