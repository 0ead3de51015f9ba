// Messaging end to end over /ws/im and REST: what one says the others hear, once, in order, on every device, through cuts,
// kills and restarts.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventuallyOk, ok, refused } from './check.mjs';
import { eventually, makeDataDir, run, startServer } from './server.mjs';
import { Talker } from './talker.mjs';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

let server;
let count = 0;
const fresh = (name) => server.register(`${name}${count += 1}`);
const text = (t) => ({ kind: 'text', text: t });

before(async () => { server = await startServer(); });
after(() => server?.stop());

async function pair() {
  const [ann, bob] = [await fresh('ann'), await fresh('bob')];
  return { ann, bob, annWire: await Talker.open(server, ann), bobWire: await Talker.open(server, bob) };
}

describe('two people', () => {
  test('the first message begins a conversation on both sides', async () => {
    const { ann, bob, annWire, bobWire } = await pair();
    const other = await Talker.open(server, ann); // ann's second device
    const sent = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k1', content: text('hello') });
    for (const wire of [bobWire, other, annWire]) {
      const change = await wire.next('change');
      assert.equal(change.conversation_id, sent.conversation_id);
      assert.equal(change.type, 'message');
      assert.deepEqual([change.rev, change.prev_rev, change.message.seq], [1, 0, 1]);
      assert.equal(change.message.content.text, 'hello');
      assert.equal(change.message.sender_id, ann.user.id);
    }
    const answer = await bobWire.say(sent.conversation_id, 'hi');
    assert.equal((await annWire.next('change')).message.seq, answer.seq);
    const again = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k1', content: text('hello') });
    assert.equal(again.is_duplicate, true);
    assert.equal(again.seq, 1);
    await bobWire.settle();
    assert.equal(bobWire.events.filter((e) => e.change).length, 1, 'his own; a retry is told to nobody');
    await Promise.all([annWire, bobWire, other].map((wire) => wire.close()));
  });

  test('edits, reactions, recalls and reading reach the other side', async () => {
    const { ann, bob, annWire, bobWire } = await pair();
    const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('helo') });
    await bobWire.next('change');
    await annWire.ok('edit_message', { id, seq: 1, content: text('hello') });
    assert.equal((await bobWire.next('change', (c) => c.type === 'edited')).message.content.text, 'hello');
    await bobWire.ok('react', { id, seq: 1, emoji: '👍' });
    const reacted = await annWire.next('change', (c) => c.type === 'reaction');
    assert.deepEqual([reacted.emoji, reacted.actor_id, reacted.message.reactions[0].count], ['👍', bob.user.id, 1]);
    await annWire.ok('open', { id });
    await bobWire.ok('mark_as_read', { id, seq: 1 });
    const receipt = await annWire.next('receipt');
    assert.deepEqual([receipt.user_id, receipt.read_seq], [bob.user.id, 1]);
    assert.equal((await bobWire.next('own')).own.unread_count, 0);
    await bobWire.ok('typing', { id });
    assert.equal((await annWire.next('is_typing')).user_id, bob.user.id);
    await annWire.ok('recall_message', { id, seq: 1 });
    const recalled = await bobWire.next('change', (c) => c.type === 'recalled');
    assert.equal(recalled.message.content, undefined);
    assert.deepEqual([recalled.rev, recalled.prev_rev], [4, 3]);
    assert.equal(ok(await bob.get(`/api/v1/conversations/${id}/messages`)).messages[0].recalled_by, ann.user.id);
    await Promise.all([annWire.close(), bobWire.close()]);
  });

  test('what is sent without waiting stands in order', async () => {
    const { bob, annWire, bobWire } = await pair();
    const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('0') });
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => annWire.say(id, String(i + 1))));
    assert.deepEqual(answers.map((a) => a.seq), Array.from({ length: 40 }, (_, i) => i + 2));
    for (let i = 0; i <= 40; i += 1) {
      const change = await bobWire.next('change');
      assert.deepEqual([change.rev, change.message.content.text], [i + 1, String(i)]);
    }
    await Promise.all([annWire.close(), bobWire.close()]);
  });
});

describe('groups', () => {
  test('who comes hears from then on, who goes no more', async () => {
    const [owner, early, late] = [await fresh('owner'), await fresh('early'), await fresh('late')];
    const [earlyWire, lateWire, ownerWire] = [await Talker.open(server, early), await Talker.open(server, late), await Talker.open(server, owner)];
    const { id } = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'Us', user_ids: [early.user.id] }), 201);
    assert.equal((await earlyWire.next('change')).conversation.title, 'Us');
    await ownerWire.say(id, 'before');
    assert.equal((await earlyWire.next('change')).message.content.text, 'before');
    await ownerWire.ok('add_members', { id, user_ids: [late.user.id] });
    assert.equal((await lateWire.next('change')).member.user_id, late.user.id);
    await ownerWire.say(id, 'both');
    assert.equal((await lateWire.next('change')).message.content.text, 'both');
    await ownerWire.ok('remove_member', { id, user_id: early.user.id });
    assert.equal((await earlyWire.next('change', (c) => c.type === 'member' && c.member.user_id === early.user.id)).member.state, 'gone');
    await ownerWire.say(id, 'without');
    assert.equal((await lateWire.next('change', (c) => c.type === 'message')).message.content.text, 'without');
    await earlyWire.settle();
    assert.ok(!earlyWire.events.some((e) => e.change?.message?.content?.text === 'without'));
    await earlyWire.refused('send_message', { conversation_id: id, client_msg_id: 'x', content: text('but') }, 'permission_denied');
    await Promise.all([earlyWire, lateWire, ownerWire].map((wire) => wire.close()));
  });

  test('typing and receipts of strangers are nobody\'s', async () => {
    const { ann, bob, annWire, bobWire } = await pair();
    const stranger = await Talker.open(server, await fresh('stranger'));
    const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('x') });
    await stranger.ok('open', { id });
    await stranger.ok('typing', { id });
    await bobWire.ok('mark_as_read', { id });
    await annWire.say(id, 'y');
    await bobWire.next('change', (c) => c.message?.content.text === 'y');
    await stranger.settle();
    assert.deepEqual(stranger.events, []);
    await annWire.settle();
    assert.ok(!annWire.events.some((e) => e.is_typing));
    assert.ok(ann);
    await Promise.all([annWire, bobWire, stranger].map((wire) => wire.close()));
  });
});

describe('the socket', () => {
  test('signs in by its first frame', async () => {
    const ann = await fresh('ann');
    const wire = await Talker.open(server, null, { token: null });
    await wire.refused('get_conversations', {}, 'unauthenticated');
    assert.equal((await wire.ok('authenticate', { token: ann.token })).user_id, ann.user.id);
    assert.equal((await wire.next('ready')).user_id, ann.user.id);
    await wire.ok('get_conversations');
    await wire.ok('authenticate', { token: ann.token }); // a fresher token, say
    const other = await fresh('other');
    await wire.ask('authenticate', { token: other.token }).catch(() => {});
    assert.equal((await wire.closed).code, 4401);
  });

  test('a bad token, and a sign-out elsewhere, end it', async () => {
    const wire = await Talker.open(server, null, { token: null });
    await wire.refused('authenticate', { token: 'nonsense' }, 'unauthenticated');
    assert.equal((await wire.closed).code, 4401);
    const ann = await fresh('ann');
    const [here, there] = [await Talker.open(server, ann), await Talker.open(server, await server.client().signIn(ann.user.username, `${ann.user.username}-password`))];
    ok(await ann.post('/api/v1/auth/logout'));
    assert.equal((await here.closed).code, 4401);
    await there.settle();
    await there.close();
  });

  test('a socket belongs to the sign-in of its latest token', async () => {
    const ann = await fresh('ann');
    const again = await server.client().signIn(ann.user.username, `${ann.user.username}-password`);
    const wire = await Talker.open(server, ann);
    await wire.ok('authenticate', { token: again.token });
    ok(await ann.post('/api/v1/auth/logout'));
    await wire.settle(); // that one is no more its own
    ok(await again.post('/api/v1/auth/logout'));
    assert.equal((await wire.closed).code, 4401);
  });

  test('takes nonsense with an answer', async () => {
    const ann = await fresh('ann');
    const wire = await Talker.open(server, ann);
    for (const nonsense of ['', 'x', '[]', '{}', '{"append_note":{}}', '{"get_audience":{"id":"x"}}', '{"ping":{},"open":{}}',
      `{"send_message":${'{"content":'.repeat(40)}1${'}'.repeat(40)}}`, '{"sync":{"cursor":7}}', '{"sync":{"limit":99999999999}}']) {
      wire.send(nonsense);
      assert.ok((await wire.next('error')).message, nonsense);
    }
    await wire.refused('get_conversation', { id: 'x' }, 'not_found');
    await wire.refused('sync', { open: Array(21).fill({ conversation_id: 'x', rev: 0 }) }, 'invalid_argument');
    wire.socket.send(Buffer.from([1, 2, 3]));
    assert.equal((await wire.closed).code, 1003);
  });

  test('ends who floods', async () => {
    const limited = await startServer({ env: { PARLANCE_HTTP_RATE_LIMITS: 'true' } });
    const wire = await Talker.open(limited, await limited.register('flood'));
    for (let i = 0; i < 1000; i += 1) wire.send('{"ping":{}}');
    assert.equal((await wire.closed).code, 1013);
    await limited.stop();
  });

  test('ends who sends more bytes than may wait, and nothing less', async () => {
    const bytes = 200 * 1024; // of 256 kB for a frame, and 2 MB for all that wait
    const flood = async (count) => {
      const wire = await Talker.open(server, await fresh('bytes'));
      // Looking the sender up takes longer than the next frame, so that all but the first wait.
      for (let i = 0; i < count; i += 1) wire.send(`{"sync":{"cursor":"","open":[]},"id":${1000 + i}}`.padEnd(bytes));
      return wire;
    };
    const many = await flood(60);
    assert.equal((await many.closed).code, 1013);
    const few = await flood(2);
    await few.ok('ping', {});
  });

  test('who does not read is told to fetch, and the others do not wait', { timeout: 240_000 }, async () => {
    const { bob, annWire } = await pair();
    const deaf = await Talker.open(server, bob, { perMessageDeflate: false });
    const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('x') });
    await deaf.next('change');
    const { cursor } = await deaf.ok('sync', {});
    deaf.socket.pause(); // nothing is taken from the kernel any more
    const long = 'long '.repeat(3200);
    const count = 800; // 13 MB: more than the kernel's buffers hold
    for (let i = 0; i < count; i += 25) await Promise.all(Array.from({ length: 25 }, () => annWire.say(id, long)));
    deaf.socket.resume();
    let arrived = 0; // before it; what comes after it is live again
    await deaf.event((frame, at = deaf.events.length) => {
      if (frame.missed) arrived = at;
      return frame.missed;
    }, 'missed');
    const changes = deaf.events.slice(0, arrived).filter((e) => e.change).map((e) => e.change.rev);
    assert.ok(changes.length < count, `${changes.length} of ${count} came`);
    assert.deepEqual(changes, changes.map((_, i) => i + 2), 'without a hole up to there');
    const heads = (await deaf.ok('ping', { cursor })).heads;
    assert.deepEqual(heads.map((h) => [h.conversation_id, h.rev, h.last_seq]), [[id, count + 1, count + 1]]);
    const { changes: rest } = await deaf.ok('get_changes', { id, after_rev: changes.length + 1, limit: 2 });
    assert.deepEqual(rest.map((c) => c.rev), [changes.length + 2, changes.length + 3]);
    await annWire.say(id, 'and on');
    await deaf.next('change', (c) => c.rev === count + 2); // live again
    await Promise.all([annWire, deaf].map((wire) => wire.close()));
  });

  test('a silent loss shows in a ping', async () => {
    const { ann, bob, annWire, bobWire } = await pair();
    const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('x') });
    const { cursor } = await bobWire.ok('sync', {});
    assert.deepEqual((await bobWire.ok('ping', { cursor })).heads, []);
    await annWire.say(id, 'y');
    const reply = await bobWire.ok('ping', { cursor });
    assert.deepEqual(reply.heads, [{ conversation_id: id, rev: 2, last_seq: 2, is_own: false }]);
    assert.equal(reply.is_behind, false);
    assert.equal((await bobWire.ok('ping', { cursor: 'nonsense' })).is_behind, true);
    ok(await bob.post(`/api/v1/conversations/${id}/read`));
    assert.equal((await bobWire.ok('ping', { cursor })).heads[0].is_own, true);
    assert.deepEqual((await (await Talker.open(server, await fresh('zoe'))).ok('ping', { cursor })).heads, [], 'her own alone');
    assert.ok(ann);
    await Promise.all([annWire, bobWire].map((wire) => wire.close()));
  });

  test('in a large group who does not look hears only that it moved', async () => {
    const owner = await fresh('owner');
    const people = [];
    for (let i = 0; i < 501; i += 1) people.push(await fresh('m'));
    const ids = people.map((p) => p.user.id);
    const group = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'Large' }), 201);
    for (let i = 0; i < ids.length; i += 100)
      ok(await owner.post(`/api/v1/groups/${group.id}/members`, { user_ids: ids.slice(i, i + 100) }));
    const [ownerWire, looking, other] = await Promise.all([owner, people[0], people[1]].map((p) => Talker.open(server, p)));
    await looking.ok('open', { id: group.id });
    const first = await ownerWire.say(group.id, 'one');
    for (let i = 0; i < 20; i += 1) await ownerWire.say(group.id, 'more');
    assert.equal((await looking.next('change', (c) => c.type === 'message')).message.content.text, 'one');
    const moved = await other.next('heads', (h) => h.heads[0].last_seq === 21);
    assert.equal(moved.heads[0].conversation_id, group.id);
    assert.deepEqual(other.events.filter((e) => e.change), []);
    const { changes } = await other.ok('get_changes', { id: group.id, after_rev: first.rev - 1 });
    assert.equal(changes.length, 21);
    await ownerWire.ok('send_message', { conversation_id: group.id, client_msg_id: 'named', content: { text: '@you', mentions: [ids[1]] } });
    await other.next('change', (c) => c.message?.content.text === '@you');
    await Promise.all([ownerWire, looking, other].map((wire) => wire.close()));
  });
});

describe('catching up', () => {
  test('a device that was away hears what it missed', async () => {
    const { bob, annWire, bobWire } = await pair();
    const { conversation_id: id } = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('one') });
    await bobWire.next('change');
    const { cursor } = await bobWire.ok('sync', {});
    await bobWire.close();
    await annWire.say(id, 'two');
    await annWire.ok('edit_message', { id, seq: 1, content: text('ONE') });
    const back = await Talker.open(server, bob);
    const sync = await back.ok('sync', { cursor, open: [{ conversation_id: id, rev: 1 }] });
    assert.equal(sync.is_reset, false);
    assert.deepEqual(sync.conversations.map((c) => [c.id, c.own.unread_count, c.last_message.content.text]), [[id, 2, 'two']]);
    assert.deepEqual(sync.open_changes[0].changes.map((c) => [c.type, c.rev, c.prev_rev]), [['message', 2, 1], ['edited', 3, 2]]);
    const nothing = await back.ok('sync', { cursor: sync.cursor });
    assert.deepEqual(nothing.conversations, []);
    await Promise.all([annWire.close(), back.close()]);
  });

  test('search finds words and characters, of whom they concern', async () => {
    const { ann, bob, annWire } = await pair();
    await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: text('周五一起吃午饭 or dinner?') });
    for (const query of ['午饭', 'dinn'])
      await eventuallyOk(async () => {
        assert.equal(ok(await bob.get(`/api/v1/messages/search?query=${encodeURIComponent(query)}`)).messages.length, 1);
      });
    const stranger = await fresh('stranger');
    assert.equal(ok(await stranger.get('/api/v1/messages/search?query=dinner')).messages.length, 0);
    assert.ok(ann);
  });
});

describe('restarts', () => {
  test('what was acknowledged outlives a kill, and a retry is no second message', async () => {
    const dataDir = makeDataDir();
    let own = await startServer({ dataDir });
    const [ann, bob] = [await own.register('ann'), await own.register('bob')];
    const acknowledged = [];
    let wire = await Talker.open(own, ann);
    const { conversation_id: id } = await wire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'first', content: text('first') });
    const sending = (async () => {
      for (let i = 0; ; i += 1) {
        const key = `k${i}`;
        try {
          acknowledged.push([key, (await wire.say(id, key, key)).seq]);
        } catch { return key; }
      }
    })();
    await eventually(() => acknowledged.length > 30);
    await own.stop({ signal: 'SIGKILL' });
    const unsure = await sending; // in flight as the server died
    own = await startServer({ dataDir });
    const client = own.client();
    client.token = ann.token;
    wire = await Talker.open(own, ann);
    const { seq } = await wire.say(id, unsure, unsure);
    const { messages } = await wire.ok('get_message_history', { id, limit: 200 });
    assert.deepEqual(messages.map((m) => m.seq), messages.map((_, i) => i + 1));
    for (const [key, at] of acknowledged) assert.equal(messages[at - 1].client_msg_id, key);
    assert.equal(messages.filter((m) => m.client_msg_id === unsure).length, 1);
    assert.equal(messages[seq - 1].client_msg_id, unsure);
    await wire.close();
    await own.stop();
    const verdict = run(['verify'], { dataDir });
    assert.equal(verdict.status, 0, verdict.stderr);
    assert.match(verdict.stdout, /1 conversations, \d+ messages, \d+ revisions: all is well/);
    rmSync(dataDir, { recursive: true, force: true });
  });

  test('a stop says when to come back', async () => {
    const own = await startServer();
    const wire = await Talker.open(own, await own.register('ann'));
    const stopped = own.stop();
    const { retry_after_ms: wait } = await wire.next('closing');
    assert.ok(wait >= 500 && wait <= 3000);
    assert.equal((await wire.closed).code, 1001);
    assert.equal((await stopped).code, 0);
  });
});

test('what happens to messages from before their time is not told to newcomers', async () => {
  const [ann, cleo] = [await fresh('ann'), await fresh('cleo')];
  const annWire = await Talker.open(server, ann);
  const early = await Talker.open(server, cleo);
  const { id } = await annWire.ok('create_group', { kind: 'group', title: 'Old friends', client_id: 'g' });
  await annWire.ok('send_message', { conversation_id: id, client_msg_id: 'k1', content: text('secret') });
  await annWire.ok('add_members', { id, user_ids: [cleo.user.id] });
  await early.next('change', (c) => c.type === 'member');
  const late = await Talker.open(server, cleo); // its place comes with the list, not with the event
  await annWire.ok('edit_message', { id, seq: 1, content: text('secret plan') });
  await annWire.ok('pin', { id, seq: 1 });
  const { rev } = await annWire.ok('send_message', { conversation_id: id, client_msg_id: 'k2', content: text('welcome') });
  for (const wire of [early, late]) {
    const change = await wire.next('change');
    assert.deepEqual([change.rev, change.message?.content.text], [rev, 'welcome']);
  }
  await Promise.all([annWire, early, late].map((wire) => wire.close()));
});

test('REST says the same', async () => {
  const { ann, bob, bobWire } = await pair();
  const sent = ok(await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'r1', content: text('by REST') }));
  assert.equal((await bobWire.next('change')).message.content.text, 'by REST');
  refused(await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'r1', content: text('other') }), 'already_exists', /client_msg_id/);
  const list = ok(await bob.get('/api/v1/conversations')).conversations;
  assert.deepEqual(list.map((c) => [c.id, c.peer_id, c.own.unread_count]), [[sent.conversation_id, ann.user.id, 1]]);
  ok(await bob.post(`/api/v1/conversations/${sent.conversation_id}/read`));
  assert.equal(ok(await bob.get(`/api/v1/conversations/${sent.conversation_id}`)).own.unread_count, 0);
  assert.equal(ok(await bob.get(`/api/v1/messages/unread`)).unread_count, 0);
  refused(await bob.post('/api/v1/messages', { to_user_id: ann.user.id, client_msg_id: 'r2', content: text('x'.repeat(16385)) }), 'invalid_argument');
  refused(await bob.post('/api/v1/messages', { to_user_id: ann.user.id, client_msg_id: 'r2', content: text('x'.repeat(200_000)) }), 'body_too_large');
  await bobWire.close();
});

test('packed frames say the same', async () => {
  const root = new protobuf.Root();
  for (const name of ['message', 'group', 'contact', 'presence', 'gateway']) {
    const file = path.join(path.dirname(fileURLToPath(import.meta.url)), `../../proto/${name}.proto`);
    const source = readFileSync(file, 'utf8').replace(/^import .*$|^option \(pb_c_file\).*$/gm, '');
    protobuf.parse(source, root, { keepCase: true });
  }
  const [clientFrame, serverFrame] = ['Client', 'Server'].map((side) => root.lookupType(`parlance.gateway.v1.${side}Frame`));
  const packed = {
    protocol: 'parlance.v1.proto',
    encode: (frame) => clientFrame.encode(clientFrame.fromObject(frame)).finish(),
    decode: (data) => serverFrame.toObject(serverFrame.decode(data), { longs: Number, enums: String, oneofs: false }),
  };
  const [ann, bob] = [await fresh('ann'), await fresh('bob')];
  const annWire = await Talker.open(server, ann, { coding: packed });
  const bobWire = await Talker.open(server, bob);
  assert.equal(annWire.socket.protocol, 'parlance.v1.proto');
  const sent = await annWire.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'k', content: { text: 'packed' } });
  const change = await annWire.next('change');
  assert.deepEqual([change.rev, change.message.content.text], [1, 'packed']);
  assert.equal((await bobWire.next('change')).message.content.text, 'packed');
  const { messages } = await annWire.ok('get_message_history', { id: sent.conversation_id });
  assert.equal(messages[0].client_msg_id, 'k');
  await annWire.refused('get_conversation', { id: 'x' }, 'not_found');
  annWire.socket.send(Buffer.from([0xff, 0xff, 0xff]));
  assert.equal((await annWire.next('error')).code, 'invalid_argument');
  annWire.socket.send('{"ping":{}}');
  assert.equal((await annWire.closed).code, 1003);
  await bobWire.close();
});
