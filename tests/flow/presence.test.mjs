// Presence end to end: who is here is told to those who watch and may see it, once a second at most, however many come and go.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { eventually, makeDataDir, startServer } from './server.mjs';
import { Talker } from './talker.mjs';
import { rmSync } from 'node:fs';

let server;
let count = 0;
const fresh = (name) => server.register(`${name}${count += 1}`);

before(async () => { server = await startServer(); });
after(() => server?.stop());

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function befriend(one, other) {
  ok(await one.post('/api/v1/contacts', { user_id: other.user.id }));
  ok(await other.post(`/api/v1/contacts/${one.user.id}/answer`, { is_accepted: true }));
}

async function friends() {
  const [ann, bob] = [await fresh('ann'), await fresh('bob')];
  await befriend(ann, bob);
  return { ann, bob };
}

// The presence of one person, from whatever event brings it.
async function told(wire, user, isIt = () => true) {
  const of = (event) => event.presences.find((p) => p.user_id === user.user.id);
  return of(await wire.next('presence', (event) => of(event) && isIt(of(event))));
}

describe('watching', () => {
  test('who comes, idles and goes is told; a reload is not', async () => {
    const { ann, bob } = await friends();
    const annWire = await Talker.open(server, ann);
    const first = await annWire.ok('watch', { user_ids: [bob.user.id] });
    assert.equal(first.count, 1);
    assert.deepEqual([first.presences[0].status, first.presences[0].last_seen_ms], ['offline', 0]);
    let bobWire = await Talker.open(server, bob, { headers: { 'user-agent': 'Mozilla/5.0 (iPhone) Mobile' } });
    const here = await told(annWire, bob);
    assert.deepEqual([here.status, here.devices], ['online', ['phone']]);
    assert.ok(here.version > first.presences[0].version);
    await bobWire.ok('device', { kind: 'web', is_idle: true });
    assert.deepEqual((await told(annWire, bob)).status, 'away');
    await bobWire.ok('device', { is_idle: false });
    const back = await told(annWire, bob);
    assert.deepEqual([back.status, back.devices], ['online', ['web']]);

    await bobWire.close(); // a reload
    bobWire = await Talker.open(server, bob, { headers: { 'user-agent': 'Mozilla/5.0' } });
    await sleep(7500);
    assert.deepEqual(annWire.events.filter((e) => e.presence), []);
    const from = Date.now();
    await bobWire.close();
    const gone = await inTimeOffline(annWire, bob);
    assert.ok(Date.now() - from > 4000, 'not at once');
    assert.ok(Math.abs(gone.last_seen_ms - from) < 1000, 'the time of going');
    await annWire.close();
  });

  const inTimeOffline = async (wire, user) => {
    const of = (event) => event.presence?.presences.find((p) => p.user_id === user.user.id && p.status === 'offline');
    return of(await wire.event((frame) => of(frame), 'offline', 10_000));
  };

  test('several devices are one person', async () => {
    const { ann, bob } = await friends();
    const annWire = await Talker.open(server, ann);
    const web = await Talker.open(server, bob, { headers: { 'user-agent': 'Mozilla/5.0' } });
    const phone = await Talker.open(server, bob);
    await phone.ok('device', { kind: 'phone', is_idle: true });
    await eventually(async () => {
      const [bobSeen] = (await annWire.ok('watch', { user_ids: [bob.user.id] })).presences;
      return bobSeen.status === 'online' && bobSeen.devices.join() === 'web,phone';
    });
    await web.ok('device', { is_idle: true });
    assert.equal((await told(annWire, bob, (p) => p.status === 'away')).devices.length, 2);
    await Promise.all([annWire, web, phone].map((wire) => wire.close()));
  });

  test('the list is replaced, changed, bounded, and the socket\'s own', async () => {
    const { ann, bob } = await friends();
    const cleo = await fresh('cleo');
    await befriend(ann, cleo);
    const wire = await Talker.open(server, ann);
    const ids = (n) => Array.from({ length: n }, (_, i) => `01K${String(i).padStart(23, '0')}`);
    assert.equal((await wire.ok('watch', { user_ids: ids(200) })).count, 200);
    await wire.refused('watch', { user_ids: ids(201) }, 'invalid_argument');
    await wire.refused('watch', { is_change: true, user_ids: [bob.user.id] }, 'invalid_argument');
    await wire.refused('watch', { user_ids: ['nobody'] }, 'invalid_argument');
    await wire.refused('watch', { user_ids: [], removed_ids: ids(1) }, 'invalid_argument');
    assert.equal((await wire.ok('watch', { is_change: true, user_ids: [bob.user.id], removed_ids: ids(3) })).count, 198);
    // who is named twice, or in both lists, makes no more room than there is
    await wire.ok('watch', { user_ids: ids(200) });
    const others = Array.from({ length: 200 }, (_, i) => `01M${String(i).padStart(23, '0')}`);
    await wire.refused('watch', { is_change: true, user_ids: others, removed_ids: Array(200).fill(ids(1)[0]) }, 'invalid_argument');
    await wire.refused('watch', { is_change: true, user_ids: [...ids(100), ...others.slice(100)], removed_ids: ids(100) }, 'invalid_argument');
    assert.equal((await wire.ok('watch', { is_change: true, user_ids: ids(200), removed_ids: ids(200) })).count, 200);
    assert.equal((await wire.ok('watch', { user_ids: [bob.user.id, bob.user.id, cleo.user.id] })).count, 2);
    assert.equal((await wire.ok('watch', { is_change: true, removed_ids: [bob.user.id] })).count, 1);
    const bobWire = await Talker.open(server, bob);
    const cleoWire = await Talker.open(server, cleo);
    await told(wire, cleo);
    assert.ok(!wire.events.some((e) => e.presence?.presences.some((p) => p.user_id === bob.user.id)));
    assert.equal((await wire.ok('watch', {})).count, 0);
    await Promise.all([wire, bobWire, cleoWire].map((w) => w.close()));
  });

  test('guests neither see nor are seen', async () => {
    const host = await fresh('host');
    const meeting = ok(await host.post('/api/v1/meetings', { title: 'Open' }), 201);
    const guest = server.client();
    guest.token = ok(await guest.post(`/api/v1/meetings/${meeting.id}/join`, { name: 'Gil' })).access_token;
    const wire = await Talker.open(server, guest);
    await wire.refused('watch', { user_ids: [host.user.id] }, 'permission_denied');
    await wire.refused('set_presence', { status: 'away' }, 'permission_denied');
    await wire.close();
  });
});

describe('saying something', () => {
  test('status and words are kept, told to friends and to one\'s own devices', async () => {
    const { ann, bob } = await friends();
    const annWire = await Talker.open(server, ann);
    const [phone, web] = [await Talker.open(server, bob), await Talker.open(server, bob)];
    await annWire.ok('watch', { user_ids: [bob.user.id] });
    await eventually(async () => (await phone.ok('get_own_presence')).shown.status === 'online');
    const own = await phone.ok('set_presence', { status: 'do_not_disturb', text: 'in the library', emoji: '📚' });
    assert.deepEqual([own.status, own.shown.status, own.text], ['do_not_disturb', 'do_not_disturb', 'in the library']);
    assert.equal((await web.next('own_presence')).status, 'do_not_disturb');
    const seen = await told(annWire, bob, (p) => p.status === 'do_not_disturb');
    assert.deepEqual([seen.text, seen.emoji], ['in the library', '📚']);
    await phone.ok('set_presence', { text: 'soon gone', text_until_ms: Date.now() + 1500 });
    assert.equal((await told(annWire, bob, (p) => p.text === 'soon gone')).emoji, '📚');
    assert.equal((await told(annWire, bob, (p) => p.status === 'do_not_disturb' && p.text === '')).text_until_ms, 0);
    assert.equal(ok(await bob.get('/api/v1/presence/me')).text, '');
    for (const wrong of [{ status: 'offline' }, { text: 'x'.repeat(101) }, { text: 'a\nb' }, { status_until_ms: -1 },
      { text_until_ms: Date.now() + 2 * 366 * 86400_000 }, { emoji: 'much too long' }])
      refused(await bob.put('/api/v1/presence/me', wrong), 'invalid_argument');
    await Promise.all([annWire, phone, web].map((wire) => wire.close()));
  });

  test('the invisible are offline to others', async () => {
    const { ann, bob } = await friends();
    const bobWire = await Talker.open(server, bob);
    await eventually(async () => ok(await ann.get(`/api/v1/presence/${bob.user.id}/online`)).is_online);
    const before = Date.now();
    const own = ok(await bob.put('/api/v1/presence/me', { status: 'invisible' }));
    assert.deepEqual([own.status, own.shown.status], ['invisible', 'offline']);
    const seen = ok(await ann.get(`/api/v1/presence/${bob.user.id}`));
    assert.deepEqual([seen.status, seen.devices], ['offline', []]);
    assert.ok(Math.abs(seen.last_seen_ms - before) < 10_000);
    await sleep(50);
    await bobWire.ok('device', { kind: 'web' });
    assert.equal(ok(await ann.get(`/api/v1/presence/${bob.user.id}`)).last_seen_ms, seen.last_seen_ms, 'it stands still');
    await bobWire.close();
  });
});

describe('who sees whom', () => {
  test('strangers nothing; who shares a conversation, friends, and nobody as one says', async () => {
    const [ann, bob, cleo] = [await fresh('ann'), await fresh('bob'), await fresh('cleo')];
    await befriend(cleo, bob);
    const bobWire = await Talker.open(server, bob);
    ok(await bob.put('/api/v1/presence/me', { text: 'hello' }));
    const seenBy = async (client) => ok(await client.get(`/api/v1/presence/${bob.user.id}`));
    await eventually(async () => (await seenBy(cleo)).status === 'online');
    const nothing = await seenBy(ann);
    assert.deepEqual({ ...nothing, version: 0 },
      { user_id: bob.user.id, status: 'offline', devices: [], text: '', emoji: '', text_until_ms: 0, last_seen_ms: 0, version: 0, is_unknown: false });
    const annWire = await Talker.open(server, ann);
    await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: { text: 'hello' } });
    assert.equal((await seenBy(ann)).status, 'online');
    ok(await bob.put('/api/v1/presence/me', { shown_to: 'contacts' }));
    assert.deepEqual([(await seenBy(ann)).status, (await seenBy(cleo)).status], ['offline', 'online']);
    ok(await bob.put('/api/v1/presence/me', { shown_to: 'nobody' }));
    assert.equal((await seenBy(cleo)).status, 'offline');
    assert.equal((await seenBy(bob)).status, 'online', 'oneself sees');
    ok(await bob.put('/api/v1/presence/me', { shown_to: 'everyone', last_seen_to: 'contacts', status: 'invisible' }));
    assert.equal((await seenBy(ann)).last_seen_ms, 0);
    assert.ok((await seenBy(cleo)).last_seen_ms > 0);
    await Promise.all([annWire.close(), bobWire.close()]);
  });

  test('a change of who may see, and a block, count at once for those who watch', async () => {
    const { ann, bob } = await friends();
    const [annWire, bobWire] = [await Talker.open(server, ann), await Talker.open(server, bob)];
    await annWire.ok('watch', { user_ids: [bob.user.id] });
    await bobWire.ok('set_presence', { text: 'seen', shown_to: 'everyone' });
    await told(annWire, bob, (p) => p.status === 'online' && p.text === 'seen');
    await bobWire.ok('set_presence', { shown_to: 'nobody' });
    assert.equal((await told(annWire, bob, (p) => p.status === 'offline')).text, '');
    await bobWire.ok('set_presence', { shown_to: 'contacts' });
    await told(annWire, bob, (p) => p.status === 'online');
    await bobWire.ok('set_contact', { user_id: ann.user.id, is_blocked: true });
    const blocked = await told(annWire, bob, (p) => p.status === 'offline');
    assert.deepEqual([blocked.text, blocked.last_seen_ms, blocked.devices], ['', 0, []]);
    await bobWire.ok('set_presence', { text: 'not for her' });
    await sleep(1500);
    assert.deepEqual(annWire.events.filter((e) => e.presence), []);
    const mine = await bobWire.ok('watch', { user_ids: [ann.user.id] });
    assert.equal(mine.presences[0].status, 'offline', 'nor does he see her');
    await Promise.all([annWire.close(), bobWire.close()]);
  });
});

describe('by REST', () => {
  test('several, contacts who are here, and a bot that says so itself', async () => {
    const { ann, bob } = await friends();
    const cleo = await fresh('cleo');
    await befriend(ann, cleo);
    ok(await bob.post('/api/v1/presence/me/online', { device_id: 'reminder', kind: 'bot' }));
    const list = ok(await ann.get(`/api/v1/presence?user_ids=${bob.user.id}&user_ids=${cleo.user.id}`)).presences;
    assert.deepEqual(list.map((p) => [p.user_id, p.status, p.devices.join()]), [[bob.user.id, 'online', 'bot'], [cleo.user.id, 'offline', '']]);
    assert.deepEqual(ok(await ann.get('/api/v1/presence/online')).presences.map((p) => p.user_id), [bob.user.id]);
    assert.equal(ok(await ann.get(`/api/v1/presence/${bob.user.id}/online`)).is_online, true);
    refused(await ann.post('/api/v1/presence/me/online', { device_id: 'x', user_id: bob.user.id }), 'permission_denied');
    refused(await ann.post('/api/v1/presence/me/online', { device_id: '' }), 'invalid_argument');
    refused(await ann.get('/api/v1/presence/nobody'), 'invalid_argument');
    ok(await bob.post('/api/v1/presence/me/offline', { device_id: 'reminder' }));
    await eventually(async () => ok(await ann.get(`/api/v1/presence/${bob.user.id}/online`)).is_online === false, { ms: 9000, every: 200 });
  });
});

describe('a restart', () => {
  test('settings and the last visit are kept', async () => {
    const dataDir = makeDataDir();
    let own = await startServer({ dataDir });
    try {
      const [ann, bob] = [await own.register('ann'), await own.register('bob')];
      await befriend(ann, bob);
      ok(await bob.put('/api/v1/presence/me', { status: 'busy', text: 'kept' }));
      const wire = await Talker.open(own, bob);
      await eventually(async () => ok(await ann.get(`/api/v1/presence/${bob.user.id}`)).status === 'busy');
      const at = Date.now();
      await wire.close();
      await own.stop({ keepData: true });
      own = await startServer({ dataDir });
      ann.base = own.url;
      // A shared cache remembers, and gives a device that went some seconds to come back.
      const seen = await eventually(async () => {
        const now = ok(await ann.get(`/api/v1/presence/${bob.user.id}`));
        assert.deepEqual([now.status, now.text], ['offline', 'kept']);
        return now;
      }, { ms: 8000, every: 200 });
      assert.ok(Math.abs(seen.last_seen_ms - at) < 3000, `${seen.last_seen_ms - at} ms off`);
    } finally {
      await own.stop();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});

describe('a storm', () => {
  // Everybody watches everybody (as far as the list goes), and all come back within a moment: what Rocket.Chat and Synapse fell over.
  test('three hundred who come at once cost each a frame a second', { timeout: 240_000 }, async () => {
    const people = [];
    const owner = await fresh('owner');
    for (let i = 0; i < 300; i += 1) people.push(await fresh('p'));
    const ids = people.map((p) => p.user.id);
    const group = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'All' }), 201);
    for (let i = 0; i < ids.length; i += 100)
      ok(await owner.post(`/api/v1/groups/${group.id}/members`, { user_ids: ids.slice(i, i + 100) }));
    const from = Date.now();
    const wires = await Promise.all(people.map(async (person, i) => {
      const wire = await Talker.open(server, person);
      const around = Array.from({ length: 200 }, (_, j) => ids[(i + j + 1) % ids.length]);
      await eventually(() => wire.ok('watch', { user_ids: around })); // who is told "took too long" asks again
      return wire;
    }));
    const storm = Date.now() - from;
    await sleep(2500);
    const seconds = (Date.now() - from) / 1000;
    const frames = wires.map((wire) => wire.events.filter((e) => e.presence).length);
    const most = Math.max(...frames);
    assert.ok(most <= seconds + 1, `${most} frames in ${seconds} s`);
    const total = frames.reduce((sum, n) => sum + n, 0);
    assert.ok(total <= wires.length * (storm / 1000 + 3), `${total} frames: not one for each change (${300 * 200})`);
    // and all know the truth
    for (const [i, wire] of wires.entries()) {
      if (i % 50) continue;
      const reply = await wire.ok('watch', { user_ids: Array.from({ length: 200 }, (_, j) => ids[(i + j + 1) % ids.length]) });
      assert.equal(reply.presences.filter((p) => p.status === 'online').length, 200);
    }
    await Promise.all(wires.map((wire) => wire.close()));
  });
});
