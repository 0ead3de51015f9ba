// The signaling socket as docs/api.md says it: signing in, entering, coming back, gestures, offers, the host's hand as seen
// by those who sit in the meeting, and what is refused.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventuallyOk, ok, refused } from './check.mjs';
import { resign } from './jwt.mjs';
import { publishOffer } from './offer.mjs';
import { Client, startServer } from './server.mjs';
import { onlyWhole } from './deployment.mjs';
import { Signaler } from './signaler.mjs';

const secret = 'a secret that only these tests know, long enough';
let server;
let admin;
let host;
let user;
let other;
const opened = [];

before(async () => {
  server = await startServer({ env: { PARLANCE_SIGNALING_RESUME_S: '1', JWT_SECRET: secret } });
  admin = await server.register('root');
  host = await server.register('hostess', { nickname: 'Hostess' });
  user = await server.register('guido', { nickname: 'Guido' });
  other = await server.register('olga', { nickname: 'Olga' });
});
after(async () => {
  for (const wire of opened) wire.close();
  await server?.stop();
});

async function open(client, options) {
  const wire = await Signaler.open(server, client, options);
  opened.push(wire);
  return wire;
}

const make = async (fields = {}) => ok(await host.post('/api/v1/meetings', { title: 'On the wire', ...fields }), 201);
const joinByRest = (who, meeting, fields = {}) => who.post(`/api/v1/meetings/${meeting.id}/join`, fields);

// Into the meeting, over REST and then the socket: the wire, with its `room` and `place`.
async function enter(who, meeting, fields) {
  const { participant } = ok(await joinByRest(who, meeting, fields));
  const wire = await open(who);
  wire.room = await wire.join(meeting);
  wire.place = participant;
  return wire;
}

async function guestOf(meeting, name) {
  const guest = server.client();
  guest.token = ok(await joinByRest(guest, meeting, { name })).access_token;
  return guest;
}

describe('signing in', () => {
  test('by header, or by the first frame', async () => {
    const byHeader = await open(user);
    assert.equal(byHeader.socket.protocol, 'parlance.signaling.v1');
    const pong = await byHeader.ask('ping');
    assert.equal(pong.type, 'pong');
    assert.ok(Math.abs(pong.server_time_ms - Date.now()) < 60_000);
    const byFrame = await open(null, { protocol: [] });
    await byFrame.refused('ping', {}, 'unauthenticated');
    await byFrame.refused('join_room', { meeting_id: 'x' }, 'unauthenticated');
    assert.equal((await byFrame.ok('auth', { token: user.token })).user_id, user.user.id);
    await byFrame.ok('auth', { token: user.token });
    assert.equal((await byFrame.ask('ping')).type, 'pong');
  });

  test('a wrong token in the header opens nothing, in a frame it closes', async () => {
    await assert.rejects(Signaler.open(server, null, { token: 'nonsense' }), { status: 401 });
    await assert.rejects(Signaler.open(server, null, { token: user.refreshToken }), { status: 401 });
    for (const token of ['nonsense', '', user.refreshToken]) {
      const wire = await open(null);
      await wire.refused('auth', { token }, 'unauthenticated');
      await wire.ends(4401);
    }
  });

  test('a socket lives as long as the token it was opened with, or the renewed one', async () => {
    const short = resign(user.token, secret, (claims) => ({ ...claims, exp: Math.floor(Date.now() / 1000) + 2 }));
    const byHeader = await open(null, { token: short });
    const byFrame = await open(null);
    await byFrame.ok('auth', { token: short });
    const renewed = await open(null, { token: short });
    await renewed.ok('auth', { token: user.token });
    await byHeader.ends(4401);
    await byFrame.ends(4401);
    await assert.rejects(Signaler.open(server, null, { token: short }), { status: 401 });
    assert.equal((await renewed.ask('ping')).type, 'pong');
  });

  test('a socket stays with whom it belongs to', async () => {
    const wire = await open(user);
    await wire.refused('auth', { token: other.token }, 'permission_denied');
    await wire.ends(4401);
  });

  test('signing out closes the socket within a second, and the place is free', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const leaver = await server.client().signIn('guido', 'guido-password');
    const wire = await enter(leaver, meeting);
    ok(await leaver.post('/api/v1/auth/logout'));
    await wire.ends(4401);
    const left = await boss.next('participant_left');
    assert.equal(left.participant_id, wire.place.id);
  });

  test('a page of another site cannot open a socket', async () => {
    await assert.rejects(Signaler.open(server, user, { headers: { origin: 'https://evil.example' } }), { status: 403 });
    const own = await open(user, { headers: { origin: `http://127.0.0.1:${server.port}` } });
    assert.equal((await own.ask('ping')).type, 'pong');
  });
});

describe('entering and leaving', () => {
  test('the answer has all that is needed; the others hear of it', async () => {
    const meeting = await make({ title: 'All there' });
    const boss = await enter(host, meeting);
    assert.equal(boss.room.is_resumed, false);
    assert.equal(boss.room.participant_id, boss.place.id);
    assert.ok(boss.room.resume_token.length >= 32 && boss.room.session_id);
    assert.equal(boss.room.meeting.title, 'All there');
    assert.equal(boss.room.meeting.my_role, 'host');
    assert.ok(Array.isArray(boss.room.tracks) && Array.isArray(boss.room.ice_servers) && Array.isArray(boss.room.waiting));
    const wire = await enter(user, meeting);
    assert.deepEqual(wire.room.participants.map((p) => p.name).sort(), ['Guido', 'Hostess']);
    const { participant } = await boss.next('participant_joined');
    assert.equal(participant.id, wire.place.id);
    assert.equal(participant.user_id, user.user.id);
    assert.equal(participant.name, 'Guido');
    assert.equal(participant.role, 'participant');
    assert.equal(participant.is_connected, true);
    const connections = ok(await admin.get(`/api/v1/signaling/connections?meeting_id=${meeting.id}`)).connections;
    assert.deepEqual(connections.map((c) => c.participant_id).sort(), [boss.place.id, wire.place.id].sort());
    await wire.ok('leave_room');
    await wire.ends(1000);
    assert.deepEqual(await boss.next('participant_left'), {
      type: 'participant_left', participant_id: wire.place.id, reason: 'left' });
    assert.equal(ok(await user.get(`/api/v1/meetings/${meeting.id}`)).my_state, 'left');
    const back = await enter(user, meeting);
    assert.equal(back.room.participant_id, wire.place.id, 'the same place as before');
  });

  test('leaving over REST ends the socket too', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    ok(await user.post(`/api/v1/meetings/${meeting.id}/leave`));
    await wire.ends(1000);
    assert.equal((await boss.next('participant_left')).reason, 'left');
  });

  test('who has not joined, or is no part of it, stays out', async () => {
    const meeting = await make();
    const stranger = await open(user);
    await stranger.refused('join_room', { meeting_id: meeting.id }, 'not_found');
    await stranger.refused('join_room', { meeting_id: '' }, 'not_found');
    await stranger.refused('join_room', {}, 'not_found');
    await stranger.refused('raise_hand', { is_raised: true }, 'failed_precondition');
    const invited = await open(host);
    await invited.refused('join_room', { meeting_id: meeting.id }, 'permission_denied', /Join/);
    ok(await joinByRest(host, meeting));
    assert.equal((await invited.join(meeting)).type, 'room_joined');
    await invited.refused('join_room', { meeting_id: meeting.id }, 'failed_precondition');
    const guest = await guestOf(meeting, 'Gast');
    const elsewhere = await make();
    ok(await joinByRest(host, elsewhere));
    await (await open(guest)).refused('join_room', { meeting_id: elsewhere.id }, 'not_found');
    assert.equal((await (await open(guest)).join({ id: meeting.code })).type, 'room_joined');
    ok(await host.post(`/api/v1/meetings/${elsewhere.id}/end`));
    await (await open(host)).refused('join_room', { meeting_id: elsewhere.id }, 'permission_denied');
  });

  test('joining from elsewhere replaces the older socket', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const first = await enter(user, meeting);
    const second = await enter(user, meeting);
    await first.ends(4409);
    assert.equal(second.room.participants.length, 2);
    assert.equal((await boss.next('participant_left')).reason, 'replaced');
    assert.equal((await second.ask('ping')).type, 'pong');
  });

  test('the end of the meeting ends it for all', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    ok(await host.post(`/api/v1/meetings/${meeting.id}/end`));
    for (const one of [boss, wire]) {
      assert.equal((await one.next('meeting_ended')).actor_id, host.user.id);
      await one.ends(1000);
    }
  });
});

describe('coming back', () => {
  test('a cut socket resumes: same place, same media session, nobody sees a leaving', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    await wire.cut();
    const away = await boss.next('participant_changed', (e) => !e.participant.is_connected);
    assert.equal(away.participant.id, wire.place.id);
    const back = await open(user);
    const room = await back.join(meeting, { resumeToken: wire.room.resume_token });
    assert.equal(room.is_resumed, true);
    assert.equal(room.session_id, wire.room.session_id);
    assert.equal(room.participant_id, wire.place.id);
    await boss.next('participant_changed', (e) => e.participant.is_connected);
    assert.equal(await boss.has('participant_left'), false);
    assert.equal(ok(await user.get(`/api/v1/meetings/${meeting.id}`)).my_state, 'admitted');
  });

  test('who comes back too late enters anew, and was seen leaving', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    await wire.cut();
    assert.equal((await boss.next('participant_left')).reason, 'timeout');
    await eventuallyOk(async () => assert.equal(ok(await user.get(`/api/v1/meetings/${meeting.id}`)).my_state, 'left'));
    const back = await open(user);
    await back.refused('join_room', { meeting_id: meeting.id, resume_token: wire.room.resume_token }, 'permission_denied', /Join/);
    ok(await joinByRest(user, meeting));
    assert.equal((await back.join(meeting)).is_resumed, false);
  });

  test('a resume token is nobody else\'s', async () => {
    const meeting = await make();
    await enter(host, meeting);
    const wire = await enter(user, meeting);
    const thief = await enter(other, meeting);
    thief.send({ type: 'leave_room' });
    await thief.ends(1000);
    const again = await open(other);
    await again.refused('join_room', { meeting_id: meeting.id, resume_token: wire.room.resume_token }, 'permission_denied');
    assert.equal((await wire.ask('ping')).type, 'pong');
  });
});

describe('the waiting room', () => {
  test('hosts see who waits; admitting lets in, refusing shows the door', async () => {
    const meeting = await make({ has_waiting_room: true });
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    assert.equal(wire.room.type, 'waiting');
    assert.equal(wire.room.meeting.id, meeting.id);
    await wire.refused('raise_hand', { is_raised: true }, 'failed_precondition');
    const { participant } = await boss.next('participant_waiting');
    assert.equal(participant.name, 'Guido');
    const late = await open(host);
    const room = await late.join(meeting);
    assert.deepEqual(room.waiting.map((p) => p.id), [participant.id]);
    ok(await host.post(`/api/v1/meetings/${meeting.id}/participants/${participant.id}/admit`));
    const joined = await wire.next('room_joined');
    assert.equal(joined.participants.length, 2);
    assert.deepEqual(joined.waiting, [], 'only hosts see who waits');
    assert.equal((await late.next('participant_not_waiting')).participant_id, participant.id);
    await late.next('participant_joined');
    const second = await enter(other, meeting);
    assert.equal(await wire.has('participant_waiting'), false);
    const { participant: waits } = await late.next('participant_waiting');
    ok(await host.post(`/api/v1/meetings/${meeting.id}/participants/${waits.id}/refuse`));
    await second.next('refused');
    await second.ends(4403);
  });

  test('a new co-host hears who waits already', async () => {
    const meeting = await make({ has_waiting_room: true, invite_user_ids: [user.user.id] });
    await enter(host, meeting);
    const helper = await enter(user, meeting);
    const waiting = await enter(other, meeting);
    assert.equal(waiting.room.type, 'waiting');
    ok(await host.put(`/api/v1/meetings/${meeting.id}/participants/${helper.place.id}/role`, { role: 'co_host' }));
    assert.equal((await helper.next('participant_waiting')).participant.name, 'Olga');
  });
});

describe('in the meeting', () => {
  test('hands, reactions, and their limits', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    await wire.ok('raise_hand', { is_raised: true });
    const up = (await boss.next('participant_changed', (e) => e.participant.is_hand_raised)).participant;
    assert.equal(up.id, wire.place.id);
    assert.ok(up.hand_raised_at_ms > 0);
    await wire.refused('lower_hand', { participant_id: boss.place.id }, 'permission_denied');
    await boss.refused('lower_hand', { participant_id: 'nobody' }, 'not_found');
    await boss.ok('lower_hand', { participant_id: wire.place.id });
    await wire.next('participant_changed', (e) => e.participant.id === wire.place.id && !e.participant.is_hand_raised);
    for (let i = 0; i < 5; i++) await wire.ok('reaction', { emoji: '🎉' });
    await wire.refused('reaction', { emoji: '🎉' }, 'resource_exhausted');
    assert.deepEqual(await boss.next('reaction'), { type: 'reaction', participant_id: wire.place.id, emoji: '🎉' });
    await boss.refused('reaction', { emoji: '' }, 'invalid_argument', /emoji/);
    await boss.refused('reaction', { emoji: 'x'.repeat(33) }, 'invalid_argument', /emoji/);
  });

  test('what the host does over REST is heard at once', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    const third = await enter(other, meeting);
    const path = `/api/v1/meetings/${meeting.id}`;
    ok(await host.put(path, { is_locked: true, title: 'Locked' }));
    const { meeting: seen } = await wire.next('meeting_changed', (e) => e.meeting.is_locked);
    assert.equal(seen.title, 'Locked');
    ok(await host.post(`${path}/participants/${wire.place.id}/mute`, { kind: 'video' }));
    assert.deepEqual(await wire.next('mute_requested'), { type: 'mute_requested', kind: 'video', actor_id: host.user.id });
    ok(await host.put(`${path}/participants/${wire.place.id}/role`, { role: 'co_host' }));
    await third.next('participant_changed', (e) => e.participant.id === wire.place.id && e.participant.role === 'co_host');
    await wire.ok('lower_hand', { participant_id: third.place.id });
    ok(await host.delete(`${path}/participants/${third.place.id}`));
    await third.next('removed');
    await third.ends(4403);
    assert.equal((await boss.next('participant_left')).reason, 'removed');
    await (await open(other)).refused('join_room', { meeting_id: meeting.id }, 'not_found');
  });

  test('an administrator disconnects somebody, who may join again', async () => {
    const meeting = await make();
    await enter(host, meeting);
    const wire = await enter(user, meeting);
    assert.equal(ok(await admin.delete(`/api/v1/signaling/connections/${wire.place.id}`)).disconnected_count, 1);
    await wire.ends(4403);
    await enter(user, meeting);
    refused(await user.get('/api/v1/signaling/connections'), 'permission_denied');
  });
});

describe('media', () => {
  test('an offer is answered, its tracks are seen by all, and are offered to the others', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    const answer = await wire.ask('offer', {
      sdp: publishOffer(), tracks: [{ mid: '0', source: 'microphone' }, { mid: '1', source: 'camera', is_muted: true }] });
    assert.equal(answer.type, 'answer', JSON.stringify(answer));
    assert.match(answer.sdp, /^v=0\r\n/);
    assert.match(answer.sdp, /a=ice-lite/);
    assert.match(answer.sdp, /a=setup:passive/);
    assert.equal(answer.tracks.length, 2);
    const [audio, video] = ['audio', 'video'].map((kind) => answer.tracks.find((t) => t.kind === kind));
    assert.deepEqual([audio.source, audio.codec, audio.is_muted], ['microphone', 'opus', false]);
    assert.deepEqual([video.source, video.codec, video.is_muted], ['camera', 'VP8', true]);
    assert.deepEqual(video.rids, ['q', 'h', 'f']);
    assert.equal((await boss.next('track_published', (e) => e.track.id === audio.id)).track.participant_id, wire.place.id);
    const offer = await boss.next('offer');
    assert.ok(offer.revision >= 1 && offer.sdp.startsWith('v=0'));
    assert.ok(offer.places.some((p) => [audio.id, video.id].includes(p.track_id)));
    await wire.ok('set_muted', { track_id: audio.id, is_muted: true });
    assert.equal((await boss.next('track_changed', (e) => e.track.id === audio.id)).track.is_muted, true);
    await boss.refused('set_muted', { track_id: audio.id, is_muted: false }, 'not_found');
    await boss.refused('unpublish', { track_id: audio.id }, 'not_found');
    await boss.ok('set_subscription', { track_id: video.id, rid: 'h' });
    await boss.ok('set_subscription', { track_id: video.id, is_paused: true });
    await boss.refused('set_subscription', { track_id: video.id, rid: 'no such layer' }, 'invalid_argument', /rid/);
    await boss.refused('set_subscription', { track_id: 'nothing', rid: 'h' }, 'not_found');
    const late = await enter(other, meeting);
    assert.equal(late.room.tracks.length, 2);
    await late.next('offer');
    await wire.ok('unpublish', { track_id: audio.id });
    assert.equal((await boss.next('track_unpublished')).track_id, audio.id);
    await wire.ok('leave_room');
    assert.equal((await boss.next('track_unpublished')).track_id, video.id);
    const stats = ok(await admin.get(`/api/v1/media/stats?meeting_id=${meeting.id}`));
    assert.equal(stats.rooms[0].peers.length, 2);
    for (const query of ['', `?meeting_id=${meeting.id}`]) {
      const own = ok(await other.get(`/api/v1/media/stats${query}`)).rooms.flatMap((room) => room.peers);
      assert.deepEqual([...new Set(own.map((peer) => peer.user_id))], [other.user.id], 'one\'s own and no more');
    }
    assert.deepEqual(ok(await user.get(`/api/v1/media/stats?meeting_id=${meeting.id}`)).rooms.flatMap((room) => room.peers), []);
  });

  test('muting by a host holds the track back', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    const wire = await enter(user, meeting);
    const { tracks } = await wire.ask('offer', { sdp: publishOffer({ video: false }), tracks: [{ mid: '0', source: 'microphone' }] });
    ok(await host.post(`/api/v1/meetings/${meeting.id}/participants/all/mute`));
    assert.equal((await wire.next('mute_requested')).kind, 'audio');
    assert.equal((await boss.next('track_changed')).track.is_muted, true);
    await wire.ok('set_muted', { track_id: tracks[0].id, is_muted: false });
    assert.equal((await boss.next('track_changed')).track.is_muted, false);
  });

  test('muted on entry; screens only where participants may share', async () => {
    const meeting = await make({ is_muted_on_entry: true, can_participants_share: false });
    await enter(host, meeting);
    const wire = await enter(user, meeting);
    const fields = { sdp: publishOffer(), tracks: [{ mid: '0', source: 'microphone' }, { mid: '1', source: 'screen' }] };
    await wire.refused('offer', fields, 'permission_denied', /screen/);
    const { tracks } = await wire.ask('offer', { ...fields, tracks: [{ mid: '0', source: 'microphone' }] });
    assert.equal(tracks.find((t) => t.kind === 'audio').is_muted, true);
  });

  test('offers and answers that are none are refused, and nothing breaks', async () => {
    const meeting = await make();
    const boss = await enter(host, meeting);
    for (const sdp of ['', 'v=0', 'nonsense', publishOffer().replace(/a=fingerprint.*\r\n/g, ''),
      publishOffer().replace(/a=ice-ufrag:.*\r\n/g, ''), publishOffer().replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP'),
      publishOffer().replaceAll('opus/48000/2', 'G722/8000').replaceAll('VP8', 'H261')])
      await boss.refused('offer', { sdp, tracks: [] }, 'invalid_argument');
    await boss.refused('offer', { sdp: 'v=0\r\n'.repeat(20000), tracks: [] }, 'resource_exhausted');
    await boss.refused('answer', { revision: 99, sdp: publishOffer() }, 'failed_precondition');
    await boss.refused('ice_candidate', { connection: 'sideways', candidate: '' }, 'invalid_argument', /connection/);
    await boss.ok('ice_candidate', { connection: 'publish', candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host' });
    assert.equal((await boss.ask('offer', { sdp: publishOffer(), tracks: [] })).type, 'answer');
  });
});

describe('frames that are none', () => {
  test('each is answered with what is wrong, and the socket lives on', async () => {
    const wire = await open(user);
    const bad = {
      'no JSON': 'hello', 'half JSON': '{"type":', 'an array': '[]', 'a number': '5', 'nothing': '',
      'no type': '{}', 'an unknown field': '{"type":"ping","colour":"red"}', 'a wrong kind': '{"type":5}',
      'a field twice': '{"type":"ping","type":"ping"}', 'an id of text': '{"type":"ping","id":"x"}',
      'deep nesting': `{"type":"ping","tracks":${'['.repeat(100)}${']'.repeat(100)}}`, 'an unknown type': '{"type":"dance"}',
      'NUL within': '{"type":"pi\\u0000ng"}',
    };
    for (const [name, text] of Object.entries(bad)) {
      wire.send(text);
      const answer = await wire.next('error');
      assert.match(answer.code, /^(invalid_argument|unimplemented)$/, name);
      assert.ok(answer.message.length > 3 && answer.request_id, name);
    }
    assert.equal((await wire.ask('ping')).type, 'pong');
  });

  test('binary, no UTF-8, too large, too many: closed with the code that says why', async () => {
    const binary = await open(user);
    binary.socket.send(Buffer.from([1, 2, 3]));
    await binary.ends(1003);
    const broken = await open(user);
    broken.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false });
    await broken.ends(1007);
    const large = await open(user);
    large.send({ type: 'ping', token: 'x'.repeat(512 * 1024) });
    await large.ends(1009);
    const early = await open(null);
    early.send({ type: 'auth', token: 'x'.repeat(17 * 1024) });
    await early.ends(1009);
    const flood = await open(user);
    for (let i = 0; i < 300; i++) flood.send({ type: 'ping' });
    await flood.ends(1008);
  });

  test('the path is a WebSocket and nothing else', async () => {
    // The front of a deployment chooses by connection, and ours may be a gateway's already: so it is asked itself.
    const asked = onlyWhole ? new Client(`http://${server.targets().signaling[0]}`) : user;
    const reply = await asked.get('/ws/signaling');
    assert.equal(reply.status, 426);
    assert.ok(reply.body.error.code && reply.body.error.request_id);
  });
});
