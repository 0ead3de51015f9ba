// Meetings end to end over REST: making, listing, changing, coming and going, the host's hand, guests, links, calendar.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { eventuallyOk, ok, refused } from './check.mjs';
import { startServer } from './server.mjs';

const ICAL = createRequire(import.meta.url)('ical.js');
const HOUR_MS = 3600_000;

let server;
let admin;
let host;
let user;
let stranger;

before(async () => {
  server = await startServer({ env: { PARLANCE_PUBLIC_URL: 'https://meet.example.org' } });
  admin = await server.register('root');
  host = await server.register('hostess', { nickname: 'The Hostess' });
  user = await server.register('guido', { nickname: 'Guido' });
  stranger = await server.register('stranger');
});
after(() => server?.stop());

const make = async (fields = {}, by = host) => ok(await by.post('/api/v1/meetings', { title: 'A meeting', ...fields }), 201);
const join = (who, meeting, fields = {}) => who.post(`/api/v1/meetings/${meeting.id}/join`, fields);
const people = async (meeting, state = '') =>
  ok(await host.get(`/api/v1/meetings/${meeting.id}/participants?state=${state}`)).participants;
const placeOf = async (meeting, who) => (await people(meeting)).find((p) => p.user_id === who.user.id);

// A client without account who joined by the link.
async function joinAsGuest(meeting, name = 'Gast', fields = {}) {
  const guest = server.client();
  const reply = ok(await join(guest, meeting, { name, ...fields }));
  assert.ok(reply.access_token && reply.expires_in_s > 0, 'a guest gets a token');
  guest.token = reply.access_token;
  guest.place = reply.participant;
  return guest;
}

describe('making and changing', () => {
  test('who makes it is host; what was not said has its default', async () => {
    const meeting = await make({ title: '  Weekly  ' });
    assert.equal(meeting.title, 'Weekly');
    assert.equal(meeting.host_id, host.user.id);
    assert.equal(meeting.host_name, 'The Hostess');
    assert.equal(meeting.state, 'scheduled');
    assert.equal(meeting.capacity, 500);
    assert.equal(meeting.my_role, 'host');
    assert.equal(meeting.are_guests_allowed, true);
    assert.equal(meeting.can_participants_share, true);
    assert.equal(meeting.has_password, false);
    assert.match(meeting.code, /^[a-z]{3}-[a-z]{4}-[a-z]{3}$/);
    assert.deepEqual(ok(await host.get(`/api/v1/meetings/${meeting.code}`)), ok(await host.get(`/api/v1/meetings/${meeting.id}`)));
  });

  const bad = {
    'no title': [{ title: ' ' }, /title/],
    'a long title': [{ title: 'x'.repeat(201) }, /title/],
    'a long description': [{ description: 'x'.repeat(5001) }, /description/],
    'room for one': [{ capacity: 1 }, /capacity/],
    'room for too many': [{ capacity: 10001 }, /capacity/],
    'a negative room': [{ capacity: -3 }, /capacity/],
    'an end before the start': [{ scheduled_start_ms: Date.now() + HOUR_MS, scheduled_end_ms: Date.now() }, /scheduled_end_ms/],
    'an end without a start': [{ scheduled_end_ms: Date.now() + HOUR_MS }, /scheduled_end_ms/],
    'a start before time': [{ scheduled_start_ms: -5 }, /scheduled_start_ms/],
    'a start after all time': [{ scheduled_start_ms: '9223372036854775807' }, /scheduled_start_ms/],
    'no time zone': [{ time_zone: 'Nowhere/Else' }, /time_zone/],
    'a long password': [{ password: 'x'.repeat(129) }, /password/],
    'nobody invited': [{ invite_user_ids: ['nobody'] }, /invite_user_ids/],
    'a state of one\'s own': [{ state: 'active' }, /state/],
  };
  for (const [name, [fields, pattern]] of Object.entries(bad)) {
    test(`refused: ${name}`, async () => {
      refused(await host.post('/api/v1/meetings', { title: 'Bad', ...fields }), 'invalid_argument', pattern);
    });
  }

  test('every field can be changed, and only what was said changes', async () => {
    const meeting = await make({ description: 'Old' });
    const start = Date.now() + HOUR_MS;
    const fields = {
      title: 'New', description: 'Two\nlines', scheduled_start_ms: start, scheduled_end_ms: start + HOUR_MS,
      time_zone: 'Asia/Shanghai', capacity: 7, has_waiting_room: true, are_guests_allowed: false, is_muted_on_entry: true,
      can_participants_share: false, is_locked: true,
    };
    const changed = ok(await host.put(`/api/v1/meetings/${meeting.id}`, { ...fields, password: 'sesame' }));
    assert.deepEqual({ ...changed, ...fields }, changed);
    assert.equal(changed.has_password, true);
    const again = ok(await host.put(`/api/v1/meetings/${meeting.id}`, { title: 'Newer', password: '' }));
    assert.deepEqual(again, { ...changed, title: 'Newer', has_password: false });
    assert.ok(!JSON.stringify(again).includes('sesame'));
    refused(await host.put(`/api/v1/meetings/${meeting.id}`, { scheduled_end_ms: start - 1 }), 'invalid_argument', /scheduled_end_ms/);
    assert.deepEqual(ok(await host.get(`/api/v1/meetings/${meeting.id}`)), again);
  });

  test('lists show what one hosts, joined or was invited to, in pages, by state', async () => {
    const lister = await server.register('lister');
    const made = [];
    for (let i = 0; i < 5; i++) made.push((await make({ title: `List ${i}` }, lister)).id);
    const ended = made[1];
    ok(await lister.post(`/api/v1/meetings/${ended}/end`));
    ok(await lister.post(`/api/v1/meetings/${made[2]}/join`));
    const all = async (query) => {
      const ids = [];
      let cursor = '';
      do {
        const page = ok(await lister.get(`/api/v1/meetings?limit=2&state=${query}&cursor=${encodeURIComponent(cursor)}`));
        assert.ok(page.meetings.length <= 2);
        ids.push(...page.meetings.map((m) => m.id));
        cursor = page.next_cursor;
      } while (cursor);
      return ids;
    };
    assert.deepEqual(await all(''), [...made].reverse());
    assert.deepEqual(await all('ended'), [ended]);
    assert.deepEqual(await all('active'), [made[2]]);
    assert.deepEqual(await all('upcoming'), [made[4], made[3], made[2], made[0]]);
    refused(await lister.get('/api/v1/meetings?state=lost'), 'invalid_argument', /state/);
    refused(await lister.get('/api/v1/meetings?cursor=x'), 'invalid_argument', /cursor/);
    assert.equal(ok(await stranger.get('/api/v1/meetings')).meetings.length, 0);
  });

  test('a meeting that nobody is in can be deleted, and is gone for all', async () => {
    const meeting = await make();
    refused(await user.delete(`/api/v1/meetings/${meeting.id}`), 'not_found');
    ok(await join(host, meeting));
    refused(await host.delete(`/api/v1/meetings/${meeting.id}`), 'failed_precondition', /End/);
    ok(await host.post(`/api/v1/meetings/${meeting.id}/end`));
    ok(await host.delete(`/api/v1/meetings/${meeting.id}`));
    refused(await host.get(`/api/v1/meetings/${meeting.id}`), 'not_found');
    refused(await server.client().get(`/api/v1/meetings/${meeting.id}/preview`), 'not_found');
    refused(await join(host, meeting), 'not_found');
    await eventuallyOk(async () => {
      const log = ok(await admin.get('/api/v1/audit?action=meeting_deleted')).entries;
      assert.ok(log.some((e) => e.target === meeting.id && e.actor_id === host.user.id));
    });
  });
});

describe('coming and going', () => {
  test('the first who comes starts it; it counts who is there; leaving twice is fine', async () => {
    const meeting = await make();
    const mine = ok(await join(host, meeting));
    assert.equal(mine.meeting.state, 'active');
    assert.ok(mine.meeting.started_at_ms > 0);
    assert.equal(mine.participant.role, 'host');
    assert.equal(mine.participant.state, 'admitted');
    assert.equal(mine.access_token, '');
    const theirs = ok(await join(user, { id: meeting.code }, { name: 'Guido today' }));
    assert.equal(theirs.participant.name, 'Guido today');
    assert.equal(theirs.meeting.participant_count, 2);
    assert.equal(ok(await join(user, meeting)).meeting.participant_count, 2, 'coming twice is being there once');
    assert.equal((await placeOf(meeting, user)).name, 'Guido');
    ok(await user.post(`/api/v1/meetings/${meeting.id}/leave`));
    ok(await user.post(`/api/v1/meetings/${meeting.id}/leave`));
    const seen = ok(await host.get(`/api/v1/meetings/${meeting.id}`));
    assert.equal(seen.participant_count, 1);
    assert.equal((await placeOf(meeting, user)).state, 'left');
    assert.equal(ok(await join(user, meeting)).participant.id, theirs.participant.id, 'who comes back is the same');
    refused(await stranger.post(`/api/v1/meetings/${meeting.id}/leave`), 'not_found');
  });

  test('only legal moves: what has ended stays ended', async () => {
    const meeting = await make();
    ok(await join(host, meeting));
    ok(await join(user, meeting));
    refused(await user.post(`/api/v1/meetings/${meeting.id}/end`), 'permission_denied');
    const ended = ok(await host.post(`/api/v1/meetings/${meeting.id}/end`));
    assert.equal(ended.state, 'ended');
    assert.equal(ended.participant_count, 0);
    assert.ok(ended.ended_at_ms >= ended.started_at_ms);
    for (const reply of [
      await host.post(`/api/v1/meetings/${meeting.id}/end`), await join(host, meeting), await join(user, meeting),
      await host.put(`/api/v1/meetings/${meeting.id}`, { title: 'Undead' }),
      await host.post(`/api/v1/meetings/${meeting.id}/invitations`, {}),
    ]) refused(reply, 'failed_precondition', /ended/);
    for (const p of await people(meeting)) assert.equal(p.state, 'left');
    ok(await user.post(`/api/v1/meetings/${meeting.id}/leave`));
  });

  test('a scheduled meeting may be ended before anybody came', async () => {
    const meeting = await make();
    assert.equal(ok(await host.post(`/api/v1/meetings/${meeting.id}/end`)).state, 'ended');
  });

  test('the preview tells enough to decide, and no names to strangers', async () => {
    const meeting = await make({ title: 'Preview', password: 'sesame' });
    ok(await join(host, meeting));
    for (const who of [server.client(), stranger]) {
      const preview = ok(await who.get(`/api/v1/meetings/${meeting.code}/preview`));
      assert.equal(preview.title, 'Preview');
      assert.equal(preview.host_name, 'The Hostess');
      assert.equal(preview.participant_count, 1);
      assert.equal(preview.has_password, true);
      assert.deepEqual(preview.participant_names, []);
    }
    assert.deepEqual(ok(await host.get(`/api/v1/meetings/${meeting.id}/preview`)).participant_names, ['The Hostess']);
  });

  test('strangers learn nothing of a meeting they have no part in', async () => {
    const meeting = await make();
    const path = `/api/v1/meetings/${meeting.id}`;
    const { id: place } = (await people(meeting))[0];
    for (const reply of [
      await stranger.get(path), await stranger.put(path, { title: 'x' }), await stranger.delete(path),
      await stranger.post(`${path}/end`), await stranger.get(`${path}/participants`), await stranger.get(`${path}/invitations`),
      await stranger.post(`${path}/invitations`, {}), await stranger.get(`${path}/calendar.ics`),
      await stranger.post(`${path}/participants/${place}/mute`), await stranger.delete(`${path}/participants/${place}`),
      await stranger.put(`${path}/participants/${place}/role`, { role: 'participant' }),
    ]) refused(reply, 'not_found');
  });
});

describe('who may come in', () => {
  test('a password is asked of all but hosts and invited; guesses are slowed down', async () => {
    const meeting = await make({ password: 'sesame' });
    ok(await join(host, meeting));
    refused(await join(user, meeting), 'permission_denied', /password/);
    refused(await join(user, meeting, { password: 'wrong' }), 'permission_denied', /password/);
    ok(await join(user, meeting, { password: 'sesame' }));
    let reply;
    let tries = 0;
    do {
      reply = await join(server.client(), meeting, { name: 'Thief', password: `guess ${tries}` });
      tries += 1;
    } while (reply.status === 403 && tries < 12);
    refused(reply, 'resource_exhausted');
    assert.ok(tries >= 6, `a few are free, not ${tries}`);
    assert.ok(Number(reply.headers.get('retry-after')) >= 1);
  });

  test('a locked meeting lets nobody new in, but those who are in come back', async () => {
    const meeting = await make();
    ok(await join(host, meeting));
    ok(await join(user, meeting));
    ok(await host.put(`/api/v1/meetings/${meeting.id}`, { is_locked: true }));
    refused(await join(stranger, meeting), 'failed_precondition', /locked/);
    refused(await join(server.client(), meeting, { name: 'Gast' }), 'failed_precondition', /locked/);
    ok(await join(user, meeting));
    ok(await host.put(`/api/v1/meetings/${meeting.id}`, { is_locked: false }));
    ok(await join(stranger, meeting));
  });

  test('a full meeting is full, also when all come at once', async () => {
    const meeting = await make({ capacity: 3 });
    ok(await join(host, meeting));
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => join(server.client(), meeting, { name: `G${i}` })));
    assert.equal(replies.filter((r) => r.status === 200).length, 2);
    for (const reply of replies.filter((r) => r.status !== 200)) refused(reply, 'resource_exhausted', /full/);
    assert.equal(ok(await server.client().get(`/api/v1/meetings/${meeting.id}/preview`)).is_full, true);
  });

  test('the waiting room: seen by hosts, admitted, refused, one by one or all', async () => {
    const meeting = await make({ has_waiting_room: true });
    ok(await join(host, meeting));
    const one = ok(await join(user, meeting)).participant;
    assert.equal(one.state, 'waiting');
    const two = await joinAsGuest(meeting, 'Zwei');
    const three = await joinAsGuest(meeting, 'Drei');
    assert.deepEqual((await people(meeting, 'waiting')).map((p) => p.name).sort(), ['Drei', 'Guido', 'Zwei']);
    const path = `/api/v1/meetings/${meeting.id}/participants`;
    refused(await user.post(`${path}/${one.id}/admit`), 'permission_denied');
    assert.equal(ok(await host.post(`${path}/${one.id}/admit`)).admitted_count, 1);
    refused(await host.post(`${path}/${one.id}/admit`), 'not_found');
    refused(await host.post(`${path}/${one.id}/refuse`), 'failed_precondition');
    ok(await host.post(`${path}/${two.place.id}/refuse`));
    assert.equal(ok(await host.post(`${path}/all/admit`)).admitted_count, 1);
    assert.equal(ok(await host.post(`${path}/all/admit`)).admitted_count, 0);
    assert.equal(ok(await three.get(`/api/v1/meetings/${meeting.id}`)).my_state, 'admitted');
    refused(await two.get(`/api/v1/meetings/${meeting.id}`), 'not_found');
    assert.equal(ok(await join(two, meeting)).participant.state, 'waiting', 'who was refused may knock again');
    assert.equal(ok(await join(three, meeting)).participant.state, 'admitted', 'who is in does not wait again');
  });

  test('those who wait do not see who is inside', async () => {
    const meeting = await make({ has_waiting_room: true });
    ok(await join(host, meeting));
    const guest = await joinAsGuest(meeting, 'Neugier');
    refused(await guest.get(`/api/v1/meetings/${meeting.id}/participants`), 'permission_denied');
    assert.deepEqual(ok(await guest.get(`/api/v1/meetings/${meeting.id}/preview`)).participant_names, []);
  });

  test('admitting stops at the capacity', async () => {
    const meeting = await make({ has_waiting_room: true, capacity: 2 });
    ok(await join(host, meeting));
    await joinAsGuest(meeting, 'Eins');
    await joinAsGuest(meeting, 'Zwei');
    const all = `/api/v1/meetings/${meeting.id}/participants/all/admit`;
    assert.equal(ok(await host.post(all)).admitted_count, 1, 'as many as there is room for');
    assert.equal((await people(meeting, 'waiting')).length, 1);
    refused(await host.post(all), 'resource_exhausted', /full/);
  });
});

describe('guests', () => {
  test('a guest has a name, a token for this meeting alone, and few rights', async () => {
    const meeting = await make();
    const other = await make();
    ok(await join(host, meeting));
    refused(await join(server.client(), meeting), 'invalid_argument', /name/);
    refused(await join(server.client(), meeting, { name: 'x'.repeat(65) }), 'invalid_argument', /name/);
    const guest = await joinAsGuest(meeting, 'Gästin');
    assert.equal(guest.place.is_guest, true);
    assert.equal(guest.place.role, 'participant');
    assert.equal(ok(await guest.get(`/api/v1/meetings/${meeting.id}`)).my_participant_id, guest.place.id);
    ok(await guest.get(`/api/v1/meetings/${meeting.id}/participants`));
    ok(await guest.get('/api/v1/webrtc/ice-servers'));
    assert.equal(ok(await join(guest, meeting)).participant.id, guest.place.id, 'the token is who one is');
    refused(await guest.get(`/api/v1/meetings/${other.id}`), 'not_found');
    refused(await join(guest, other), 'invalid_argument', /name/); // elsewhere one is nobody
    ok(await join(host, other));
    assert.notEqual(ok(await join(guest, other, { name: 'Gästin' })).participant.user_id, guest.place.user_id);
    refused(await guest.get('/api/v1/users/me'), 'permission_denied');
    refused(await guest.get('/api/v1/users?q=hostess'), 'permission_denied');
    refused(await guest.post('/api/v1/meetings', { title: 'Mine' }), 'permission_denied');
    refused(await guest.put(`/api/v1/meetings/${meeting.id}`, { title: 'Mine' }), 'permission_denied');
    ok(await guest.post(`/api/v1/meetings/${meeting.id}/leave`));
    refused(await host.put(`/api/v1/meetings/${meeting.id}/participants/${guest.place.id}/role`, { role: 'host' }),
      'failed_precondition');
  });

  test('where guests are not allowed one has to sign in', async () => {
    const meeting = await make({ are_guests_allowed: false });
    ok(await join(host, meeting));
    refused(await join(server.client(), meeting, { name: 'Gast' }), 'unauthenticated', /sign in/);
    ok(await join(user, meeting));
    const open = await make();
    const guest = await joinAsGuest(open);
    ok(await host.put(`/api/v1/meetings/${open.id}`, { are_guests_allowed: false }));
    ok(await guest.post(`/api/v1/meetings/${open.id}/leave`));
    refused(await join(guest, open), 'unauthenticated', /sign in/);
  });
});

describe('the host\'s hand', () => {
  test('roles: co-hosts help, only the host gives roles', async () => {
    const meeting = await make();
    ok(await join(host, meeting));
    const { participant: helper } = ok(await join(user, meeting));
    const guest = await joinAsGuest(meeting);
    const path = `/api/v1/meetings/${meeting.id}/participants`;
    refused(await user.put(`${path}/${helper.id}/role`, { role: 'co_host' }), 'permission_denied');
    refused(await user.delete(`${path}/${guest.place.id}`), 'permission_denied');
    assert.equal(ok(await host.put(`${path}/${helper.id}/role`, { role: 'co_host' })).role, 'co_host');
    ok(await user.put(`/api/v1/meetings/${meeting.id}`, { title: 'Helped' }));
    refused(await user.put(`${path}/${guest.place.id}/role`, { role: 'co_host' }), 'permission_denied');
    refused(await user.put(`${path}/${helper.id}/role`, { role: 'host' }), 'permission_denied');
    refused(await host.put(`${path}/${helper.id}/role`, { role: 'emperor' }), 'invalid_argument', /role/);
    refused(await host.put(`${path}/nobody/role`, { role: 'co_host' }), 'not_found');
    const mine = await placeOf(meeting, host);
    refused(await host.put(`${path}/${mine.id}/role`, { role: 'participant' }), 'failed_precondition', /host/);
    refused(await user.delete(`${path}/${mine.id}`), 'permission_denied');
    ok(await user.post(`${path}/${guest.place.id}/mute`));
    ok(await user.delete(`${path}/${guest.place.id}`));
  });

  test('the meeting is handed over: one host at a time', async () => {
    const meeting = await make();
    ok(await join(host, meeting));
    const { participant } = ok(await join(user, meeting));
    const path = `/api/v1/meetings/${meeting.id}`;
    assert.equal(ok(await host.put(`${path}/participants/${participant.id}/role`, { role: 'host' })).role, 'host');
    const after = ok(await user.get(path));
    assert.equal(after.host_id, user.user.id);
    assert.equal(after.my_role, 'host');
    assert.equal(ok(await host.get(path)).my_role, 'co_host');
    refused(await host.post(`${path}/end`), 'permission_denied');
    refused(await host.put(`${path}/participants/${participant.id}/role`, { role: 'participant' }), 'permission_denied');
    assert.deepEqual((await people(meeting)).map((p) => p.role).sort(), ['co_host', 'host']);
    ok(await user.post(`${path}/end`));
  });

  test('who was removed is out, whichever way they came, until invited anew', async () => {
    const meeting = await make({ invite_user_ids: [user.user.id] });
    const path = `/api/v1/meetings/${meeting.id}`;
    ok(await join(host, meeting));
    const link = ok(await host.post(`${path}/invitations`, {}), 201);
    const { participant } = ok(await join(user, meeting));
    ok(await host.delete(`${path}/participants/${participant.id}`));
    assert.equal((await placeOf(meeting, user)).state, 'removed');
    refused(await join(user, meeting), 'permission_denied', /removed/);
    refused(await join(user, meeting, { invitation: link.token }), 'permission_denied', /removed/);
    refused(await user.get(path), 'not_found');
    refused(await host.put(`${path}/participants/${participant.id}/role`, { role: 'co_host' }), 'failed_precondition');
    refused(await host.put(`${path}/participants/${participant.id}/role`, { role: 'host' }), 'failed_precondition');
    ok(await host.post(`${path}/invitations`, { user_id: user.user.id }), 201);
    ok(await join(user, meeting));
  });

  test('muting: one, all, each kind; who is not there cannot be muted', async () => {
    const meeting = await make();
    ok(await join(host, meeting));
    const { participant } = ok(await join(user, meeting));
    const path = `/api/v1/meetings/${meeting.id}/participants`;
    for (const kind of ['', 'audio', 'video', 'screen']) ok(await host.post(`${path}/${participant.id}/mute`, { kind }));
    ok(await host.post(`${path}/all/mute`));
    refused(await host.post(`${path}/${participant.id}/mute`, { kind: 'smell' }), 'invalid_argument', /kind/);
    refused(await host.post(`${path}/nobody/mute`), 'not_found');
    refused(await user.post(`${path}/all/mute`), 'permission_denied');
  });

  test('an administrator may do what a host may', async () => {
    const meeting = await make();
    ok(await admin.get(`/api/v1/meetings/${meeting.id}`));
    ok(await admin.post(`/api/v1/meetings/${meeting.id}/end`));
  });
});

describe('invitations', () => {
  test('of an account: on its list, past password and waiting room', async () => {
    const meeting = await make({ password: 'sesame', has_waiting_room: true });
    const invited = await server.register('invited');
    const invitation = ok(await host.post(`/api/v1/meetings/${meeting.id}/invitations`, { user_id: invited.user.id }), 201);
    assert.equal(invitation.user_name, 'invited');
    assert.equal(invitation.token, '');
    assert.equal(ok(await invited.get('/api/v1/meetings')).meetings[0].my_state, 'invited');
    ok(await join(host, meeting));
    assert.equal(ok(await join(invited, meeting)).participant.state, 'admitted');
    for (const nobody of ['nobody', 'me', meeting.id])
      refused(await host.post(`/api/v1/meetings/${meeting.id}/invitations`, { user_id: nobody }), 'not_found');
  });

  test('with the meeting itself', async () => {
    const [a, b] = [await server.register('early.a'), await server.register('early.b')];
    const meeting = await make({ invite_user_ids: [a.user.id, b.user.id, a.user.id] });
    const { invitations } = ok(await host.get(`/api/v1/meetings/${meeting.id}/invitations`));
    assert.deepEqual(invitations.map((i) => i.user_id).sort(), [a.user.id, b.user.id].sort());
    for (const who of [a, b]) assert.equal(ok(await who.get('/api/v1/meetings')).meetings[0].id, meeting.id);
    const { id } = invitations.find((i) => i.user_id === b.user.id);
    ok(await host.delete(`/api/v1/meetings/${meeting.id}/invitations/${id}`));
    assert.deepEqual(ok(await b.get('/api/v1/meetings')).meetings, [], 'taken back, it is off the list');
    refused(await b.get(`/api/v1/meetings/${meeting.id}`), 'not_found');
  });

  test('by link: used so often, so long, and no more; its token is shown once', async () => {
    const meeting = await make({ has_waiting_room: true, password: 'sesame' });
    ok(await join(host, meeting));
    const path = `/api/v1/meetings/${meeting.id}/invitations`;
    const link = ok(await host.post(path, { uses_max: 2 }), 201);
    assert.equal(link.url, `https://meet.example.org/m/${meeting.code}?i=${link.token}`);
    const guest = await joinAsGuest(meeting, 'Eins', { invitation: link.token });
    assert.equal(guest.place.state, 'admitted');
    assert.equal(ok(await join(guest, meeting, { invitation: link.token })).participant.state, 'admitted', 'a page loaded anew');
    await joinAsGuest(meeting, 'Zwei', { invitation: link.token });
    refused(await join(server.client(), meeting, { name: 'Drei', invitation: link.token }), 'permission_denied', /used up/);
    refused(await join(server.client(), meeting, { name: 'Drei', invitation: 'made up' }), 'permission_denied');
    const listed = ok(await host.get(path)).invitations[0];
    assert.equal(listed.uses_count, 2);
    assert.equal(listed.token, '');
    const other = await make();
    refused(await join(server.client(), other, { name: 'Vier', invitation: link.token }), 'permission_denied');
  });

  test('taken back, expired, or nonsense', async () => {
    const meeting = await make({ password: 'sesame' });
    const path = `/api/v1/meetings/${meeting.id}/invitations`;
    const link = ok(await host.post(path, {}), 201);
    ok(await host.delete(`${path}/${link.id}`));
    refused(await host.delete(`${path}/${link.id}`), 'not_found');
    refused(await join(server.client(), meeting, { name: 'Spät', invitation: link.token }), 'permission_denied');
    const short = ok(await host.post(path, { expires_at_ms: Date.now() + 300 }), 201);
    await new Promise((resolve) => { setTimeout(resolve, 350); });
    refused(await join(server.client(), meeting, { name: 'Spät', invitation: short.token }), 'permission_denied');
    refused(await host.post(path, { expires_at_ms: Date.now() - 1000 }), 'invalid_argument', /expires_at_ms/);
    refused(await host.post(path, { uses_max: -1 }), 'invalid_argument', /uses_max/);
    refused(await user.get(path), 'not_found');
  });
});

describe('the calendar file', () => {
  test('says when, what and where, and survives any text', async () => {
    const start = Math.floor((Date.now() + HOUR_MS) / 1000) * 1000;
    const title = 'Bilanz; Q4, "rot\\grün" 会议 👩‍💻';
    const description = `Zeile eins\nBEGIN:VEVENT\n${'sehr lang, mit Umlauten äöü; '.repeat(20)}`.trim();
    const meeting = await make({ title, description, scheduled_start_ms: start, scheduled_end_ms: start + HOUR_MS });
    const reply = await host.get(`/api/v1/meetings/${meeting.id}/calendar.ics`);
    assert.equal(reply.status, 200, reply.text);
    assert.match(reply.headers.get('content-type'), /^text\/calendar/);
    assert.match(reply.headers.get('content-disposition') ?? '', /attachment.*\.ics/);
    for (const line of reply.text.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75, line);
    const calendar = new ICAL.Component(ICAL.parse(reply.text));
    const events = calendar.getAllSubcomponents('vevent');
    assert.equal(events.length, 1);
    const event = new ICAL.Event(events[0]);
    assert.equal(event.summary, title);
    assert.equal(event.description, description);
    assert.equal(event.startDate.toJSDate().getTime(), start);
    assert.equal(event.endDate.toJSDate().getTime(), start + HOUR_MS);
    assert.equal(events[0].getFirstPropertyValue('url'), `https://meet.example.org/m/${meeting.code}`);
    const before = event.sequence;
    ok(await host.put(`/api/v1/meetings/${meeting.id}`, { title: 'Later' }));
    const again = await host.get(`/api/v1/meetings/${meeting.id}/calendar.ics`);
    const changed = new ICAL.Event(new ICAL.Component(ICAL.parse(again.text)).getFirstSubcomponent('vevent'));
    assert.equal(changed.uid, event.uid);
    assert.ok(changed.sequence > before, 'calendars take the newer');
  });

  test('a meeting at no time has none', async () => {
    refused(await host.get(`/api/v1/meetings/${(await make()).id}/calendar.ics`), 'failed_precondition');
  });
});
