// The documents are true: every operation and error code stands in docs/api.md; every frame of docs/signaling.md has the
// fields that proto/signaling.proto gives it, no frame is missing, and the server knows every request that is shown.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ok } from './check.mjs';
import { publishOffer } from './offer.mjs';
import { metricsOf, run, startServer } from './server.mjs';
import { Signaler } from './signaler.mjs';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const read = (name) => readFileSync(path.join(root, name), 'utf8');
const api = read('docs/api.md');
const signaling = read('docs/signaling.md');

describe('docs/api.md', () => {
  test('has every operation of the OpenAPI document, and who may', () => {
    const { paths } = JSON.parse(run(['openapi']).stdout);
    for (const [target, methods] of Object.entries(paths)) {
      for (const [method, { 'x-who': who }] of Object.entries(methods))
        assert.ok(api.includes(`| \`${method.toUpperCase()} ${target}\` | ${who} |`), `${method.toUpperCase()} ${target}: ${who}`);
    }
    for (const [, method, target] of api.matchAll(/^\| `(GET|PUT|POST|DELETE) (\/api[^`]*)`/gm))
      assert.ok(paths[target]?.[method.toLowerCase()], `${method} ${target} does not exist`);
  });

  test('has every error code with its status', () => {
    for (const [, name, status] of read('src/core/err.h').matchAll(/^ {4}XX\((\w+), \d+, (\d+),/gm)) {
      if (name === 'OK') continue;
      const row = api.split('\n').find((line) => line.startsWith(`| ${status} |`) && line.includes(`\`${name.toLowerCase()}\``));
      assert.ok(row, `${status} ${name}`);
    }
    for (const [, status, code] of read('src/net/http_parse.c').matchAll(/(\d{3}), "([a-z_]+)"/g))
      assert.ok(api.includes(`\`${code}\``) && api.includes(status), `${status} ${code}`);
  });
});

describe('docs/operate.md', () => {
  const short = (name) => name.replace(/^(parlance_sfu_drop_)\w+_total$/, '$1*_total');
  const names = new Set([...read('docs/operate.md').matchAll(/`((?:parlance|process)_[a-z_*]+)/g)].map((m) => short(m[1])));

  test('has every figure there is, and no other', async () => {
    const own = await startServer();
    const live = (await metricsOf(own)).join('\n');
    await own.stop();
    const files = readdirSync(path.join(root, 'src'), { recursive: true }).filter((name) => name.endsWith('.c'));
    const written = files.flatMap((name) => [...read(`src/${name}`).matchAll(/METRIC_\w+\(\s*"((?:parlance|process)_\w+)"/g)].map((m) => m[1]));
    const there = new Set([...written, ...[...live.matchAll(/^# TYPE (\w+)/gm)].map((m) => m[1])]);
    assert.ok(there.size > 60, `${there.size}`);
    assert.deepEqual([...names].sort(), [...new Set([...there].map(short))].sort());
  });
});

describe('docs/signaling.md', () => {
  const proto = read('proto/signaling.proto');
  const messages = Object.fromEntries([...proto.matchAll(/^message (\w+) \{([^]*?)^\}/gm)].map(([, name, body]) => {
    const optional = [...body.matchAll(/oneof _\w+ \{ [\w.]+ (\w+) =/g)].map((m) => m[1]);
    const fields = [...body.matchAll(/(?:^|\{ ) *(?:repeated )?[\w.]+ (\w+) = \d+;/gm)].map((m) => m[1]);
    return [name, { fields, optional }];
  }));
  const shapes = {
    ok: 'OkFrame', pong: 'OkFrame', error: 'ErrorFrame', room_joined: 'RoomJoinedFrame', waiting: 'MeetingFrame', meeting_changed: 'MeetingFrame',
    meeting_ended: 'MeetingFrame', answer: 'AnswerFrame', offer: 'OfferFrame', participant_joined: 'MemberFrame', participant_changed: 'MemberFrame',
    participant_waiting: 'MemberFrame', participant_left: 'GoneFrame', participant_not_waiting: 'GoneFrame', removed: 'GoneFrame', refused: 'GoneFrame',
    track_published: 'TrackFrame', track_changed: 'TrackFrame', track_unpublished: 'TrackGoneFrame', speakers: 'SpeakersFrame', quality: 'QualityFrame',
    reaction: 'ReactionFrame', mute_requested: 'MuteRequestedFrame', connection: 'ConnectionFrame', server_closing: 'ClosingFrame',
  };
  const examples = (title) => signaling.split(`### ${title}\n`)[1].split('```json\n')[1].split('```')[0].trim().split('\n').map((line) => JSON.parse(line));
  const [requests, answers, events] = ['Requests', 'Answers', 'Events'].map(examples);

  test('every frame of the server is shown with exactly its fields', () => {
    for (const frame of [...answers, ...events]) {
      const { fields, optional } = messages[shapes[frame.type]] ?? assert.fail(`no such frame: ${frame.type}`);
      const keys = Object.keys(frame);
      for (const key of keys) assert.ok(fields.includes(key), `${frame.type}: ${key}`);
      for (const field of fields) assert.ok(keys.includes(field) || optional.includes(field), `${frame.type} lacks ${field}`);
    }
    const shown = new Set([...answers, ...events].map((frame) => frame.type));
    assert.deepEqual([...shown].sort(), Object.keys(shapes).sort());
    const sent = new Set(['signaling_events.c', 'signaling_room.c', 'signaling_join.c', 'signaling_requests.c', 'signaling_socket.c'].flatMap((file) =>
      [...read(`src/services/signaling/${file}`).matchAll(/frame\.type =[^;]*?((?:"\w+"[^;"]*)+);/g)].flatMap((m) => m[1].match(/"(\w+)"/g).map((t) => t.slice(1, -1)))));
    for (const type of sent) assert.ok(shown.has(type), `${type} is sent and not shown`);
  });

  test('every request that the server knows is shown, with fields that it knows', () => {
    const known = [...read('src/services/signaling/signaling_requests.c').matchAll(/^ {4}\{"(\w+)", NEEDS_/gm)].map((m) => m[1]);
    assert.deepEqual([...new Set(requests.map((frame) => frame.type))].sort(), known.sort());
    for (const frame of requests)
      for (const key of Object.keys(frame)) assert.ok(messages.ClientFrame.fields.includes(key), `${frame.type}: ${key}`);
  });

  describe('against the server', () => {
    let server;
    before(async () => { server = await startServer(); });
    after(() => server?.stop());

    test('no request that is shown is misunderstood, and what comes has the fields that are shown', async () => {
      const host = await server.register('hostess');
      const user = await server.register('guido');
      const meeting = ok(await host.post('/api/v1/meetings', { title: 'As written', has_waiting_room: true }), 201);
      const wires = [];
      for (const who of [host, user]) {
        const { participant } = ok(await who.post(`/api/v1/meetings/${meeting.id}/join`));
        const wire = await Signaler.open(server, who);
        wire.room = await wire.join(meeting);
        if (who === user) ok(await host.post(`/api/v1/meetings/${meeting.id}/participants/${participant.id}/admit`));
        wires.push(wire);
      }
      const [boss, wire] = wires;
      const joined = await wire.next('room_joined');
      const real = [boss.room, wire.room, joined];
      real.push(await wire.ask('offer', { sdp: publishOffer(), tracks: [{ mid: '0', source: 'microphone' }, { mid: '1', source: 'camera' }] }));
      for (const { type, id, ...fields } of requests) {
        if (['auth', 'leave_room', 'join_room'].includes(type)) continue;
        const answer = await wire.ask(type, fields);
        real.push(answer);
        assert.ok(!/unknown field|Unknown type/i.test(answer.message ?? ''), `${type}: ${answer.message}`);
      }
      real.push(await boss.next('offer'));
      ok(await host.post(`/api/v1/meetings/${meeting.id}/participants/all/mute`));
      real.push(await wire.next('mute_requested'), await boss.next('track_changed'), await boss.next('participant_changed'));
      await wire.ok('leave_room');
      real.push(await boss.next('participant_left'));
      ok(await host.post(`/api/v1/meetings/${meeting.id}/end`));
      real.push(await boss.next('meeting_ended'));
      real.push(...boss.events, ...wire.events);
      const deep = (value, at = '') => (value && typeof value === 'object' && !Array.isArray(value)
        ? Object.entries(value).flatMap(([key, v]) => [`${at}${key}`, ...deep(v, `${at}${key}.`)])
        : Array.isArray(value) && value.length ? deep(value[0], `${at}[].`) : []);
      for (const frame of real) {
        const shown = [...answers, ...events, joined].filter((f) => f.type === frame.type);
        const keys = new Set(shown.flatMap((f) => deep(f)));
        for (const key of deep(frame)) {
          if (key.startsWith('meeting.') && frame.type !== 'room_joined') continue; // shown there once
          assert.ok(keys.has(key), `${frame.type}: ${key} is sent and not shown`);
        }
      }
      assert.ok(new Set(real.map((f) => f.type)).size >= 14, 'many kinds were seen');
      for (const one of wires) one.close();
    });
  });
});
