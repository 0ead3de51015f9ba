// The mock's signaling socket. Who is inside and what happens there says the scene; scenes may also send frames of their
// own and cut the line.
import { scene } from "./mock-scene.mjs";
import { meetings, people } from "./mock-world.mjs";

const sockets = new Set();

// To every client inside, as the server would.
export function tell(frame) {
  for (const socket of sockets) socket.send(JSON.stringify(frame));
}

export function hangUp(code) {
  for (const socket of sockets) socket.close(code);
}

const extraNames = ["Nikola", "Rosalind", "Ada B.", "Chien-Shiung", "陈静", "Tim", "Radia", "Barbara", "Donald", "Frances"];

function others(count) {
  return Array.from({ length: count }, (_, i) => {
    const known = people[i + 1];
    return {
      id: `p${i}`, user_id: known?.id ?? `x${i}`, name: known?.nickname ?? `${extraNames[i % extraNames.length]} ${i}`, avatar_url: "",
      role: i === 1 ? "co_host" : "participant", is_guest: i === 2, is_hand_raised: scene.hands.includes(i),
      hand_raised_at_ms: scene.hands.includes(i) ? 1000 + scene.hands.indexOf(i) : 0, joined_at_ms: 1000 + i, is_connected: i !== scene.away,
    };
  });
}

const track = (id, participant, source, isMuted = false) => ({
  id, session_id: `s-${participant}`, participant_id: participant, user_id: "", mid: id, source,
  kind: source === "camera" || source === "screen" ? "video" : "audio", codec: "VP8", is_muted: isMuted,
  rids: source === "camera" ? ["q", "h", "f"] : [],
});

function tracksOf(members) {
  return members.flatMap((m, i) => [
    track(`${m.id}-mic`, m.id, "microphone", i % 4 === 3),
    track(`${m.id}-cam`, m.id, "camera", !scene.cameras.includes(i)),
    ...(scene.screenBy === i ? [track(`${m.id}-screen`, m.id, "screen")] : []),
  ]);
}

export function openSocket(socket) {
  let token = "";
  const send = (frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame));
  const timers = [];
  sockets.add(socket);
  socket.on("close", () => {
    sockets.delete(socket);
    timers.forEach(clearInterval);
  });

  const joined = (id, meetingId) => {
    const meeting = meetings.find((m) => m.id === meetingId || m.code === meetingId) ?? meetings[0];
    const user = people.find((p) => token === `token-${p.id}`);
    const isHost = user?.id === meeting.host_id && scene.isHost;
    if (meeting.has_waiting_room && !isHost) return send({ type: "waiting", id, meeting });
    const self = {
      id: "self", user_id: user?.id ?? "g1", name: user?.nickname ?? token.split(":")[1] ?? "Guest", avatar_url: "", role: isHost ? "host" : "participant",
      is_guest: !user, is_hand_raised: false, hand_raised_at_ms: 0, joined_at_ms: Date.now(), is_connected: true,
    };
    const inside = meeting.code === "solo-room-one" ? [] : others(scene.others);
    const tracks = tracksOf(inside);
    const waiting = scene.waiting.map((name, i) => ({ ...self, id: `w${i}`, name, role: "participant", is_guest: true }));
    send({
      type: "room_joined", id, is_resumed: false, resume_token: "r", participant_id: "self", session_id: "s", meeting, participants: [...inside, self],
      waiting, tracks, ice_servers: [], server_time_ms: Date.now(),
    });
    const live = tracks.filter((t) => t.kind === "video");
    send({ type: "offer", revision: 1, sdp: live.map((t) => t.id).join(","), places: live.map((t) => ({ mid: t.mid, track_id: t.id })) });
    if (inside[scene.speaker])
      timers.push(setInterval(() => send({ type: "speakers", speakers: [{ participant_id: inside[scene.speaker].id, level: 0.4 }] }), 200));
    if (scene.quality) send({ type: "quality", ...scene.quality });
    return undefined;
  };

  socket.on("message", (text) => {
    const frame = JSON.parse(text);
    const { type, id } = frame;
    if (type === "auth") token = frame.token;
    if (type === "join_room") return joined(id, frame.meeting_id);
    if (type === "ping") return send({ type: "pong", id, server_time_ms: Date.now() });
    if (type === "offer")
      return send({
        type: "answer", id, sdp: "fake",
        tracks: frame.tracks.map((t) => ({ ...track(`self-${t.source}`, "self", t.source, t.is_muted), mid: t.mid })),
      });
    if (type === "reaction") send({ type: "reaction", participant_id: "self", emoji: frame.emoji });
    if (type === "raise_hand")
      send({
        type: "participant_changed",
        participant: { id: "self", user_id: "u1", name: "Ada Lovelace", avatar_url: "", role: "host", is_guest: false, is_hand_raised: frame.is_raised, hand_raised_at_ms: Date.now(), joined_at_ms: 0, is_connected: true },
      });
    return send({ type: "ok", id });
  });
}
