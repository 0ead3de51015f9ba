// Meetings that look after themselves: they end when nobody is in them, a host who goes hands over, and everybody sees the
// statistics that are theirs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { eventually, startServer } from './server.mjs';
import { Signaler } from './signaler.mjs';

let server;
let admin;
let host;
let helper;
const opened = [];

before(async () => {
  server = await startServer({ env: { PARLANCE_MEETING_EMPTY_GRACE_S: '1', PARLANCE_SIGNALING_RESUME_S: '1' } });
  admin = await server.register('root');
  host = await server.register('hostess');
  helper = await server.register('helper', { nickname: 'Helper' });
});
after(async () => {
  for (const wire of opened) wire.close();
  await server?.stop();
});

const make = async (fields = {}) => ok(await host.post('/api/v1/meetings', { title: 'Unattended', ...fields }), 201);
const joinByRest = async (who, meeting) => ok(await who.post(`/api/v1/meetings/${meeting.id}/join`)).participant;
const state = async (meeting) => ok(await admin.get(`/api/v1/meetings/${meeting.id}`)).state;

async function enter(who, meeting) {
  const place = await joinByRest(who, meeting);
  const wire = await Signaler.open(server, who);
  opened.push(wire);
  wire.room = await wire.join(meeting);
  wire.place = place;
  return wire;
}

describe('an empty meeting', { concurrency: true }, () => {
  test('ends after its grace, and not while somebody is in it', async () => {
    const [left, kept] = [await make(), await make()];
    await joinByRest(host, left);
    const wire = await enter(host, kept);
    ok(await host.post(`/api/v1/meetings/${left.id}/leave`));
    assert.equal(await state(left), 'active', 'there is a grace');
    await eventually(async () => await state(left) === 'ended');
    assert.equal(await state(kept), 'active');
    await wire.ok('leave_room');
    await eventually(async () => await state(kept) === 'ended');
    refused(await host.post(`/api/v1/meetings/${kept.id}/join`), 'failed_precondition', /ended/);
  });

  test('ends too when the last one only vanished', async () => {
    const meeting = await make();
    const wire = await enter(host, meeting);
    await wire.cut();
    await eventually(async () => await state(meeting) === 'ended');
  });
});

describe('a host who goes', () => {
  test('hands over to a co-host, and all see it', async () => {
    const meeting = await make();
    const wire = await enter(host, meeting);
    const second = await enter(helper, meeting);
    const path = `/api/v1/meetings/${meeting.id}`;
    ok(await host.put(`${path}/participants/${second.place.id}/role`, { role: 'co_host' }));
    await second.next('participant_changed', (e) => e.participant.id === second.place.id && e.participant.role === 'co_host');
    await wire.ok('leave_room');
    await second.next('participant_changed', (e) => e.participant.id === second.place.id && e.participant.role === 'host');
    const { meeting: now } = await second.next('meeting_changed', (e) => e.meeting.host_id === helper.user.id);
    assert.equal(now.host_name, 'Helper');
    refused(await host.post(`${path}/end`), 'permission_denied');
    ok(await helper.post(`${path}/end`));
    await second.next('meeting_ended');
    await second.ends(1000);
  });
});

describe('statistics', () => {
  test('one\'s own, an administrator\'s all, nobody\'s none', async () => {
    const meeting = await make();
    const one = await enter(host, meeting);
    const two = await enter(helper, meeting);
    const peers = (reply) => ok(reply).rooms.filter((room) => room.meeting_id === meeting.id).flatMap((room) => room.peers);
    const stats = '/api/v1/media/stats';
    assert.deepEqual(peers(await host.get(stats)).map((peer) => peer.participant_id), [one.place.id]);
    assert.deepEqual(peers(await admin.get(stats)).map((peer) => peer.participant_id).sort(),
      [one.place.id, two.place.id].sort());
    assert.deepEqual(peers(await helper.get(`/api/v1/media/stats?meeting_id=${meeting.id}`)).map((peer) => peer.user_id), [helper.user.id]);
    for (const field of ['bitrate_in_bps', 'bitrate_out_bps', 'round_trip_ms', 'packets_lost_in', 'loss_out', 'tracks'])
      assert.ok(field in peers(await host.get(stats))[0], field);
    refused(await server.client().get('/api/v1/media/stats'), 'unauthenticated');
  });
});
