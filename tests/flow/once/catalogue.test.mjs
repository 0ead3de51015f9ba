// The catalogue of docs/events.md as an operator sees it by `parlance events --follow`: each event when it happens, each task
// that another system puts on the broker, and what those do who listen. In one process alone, and over each real broker.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Media } from '../../chaos/media.mjs';
import { Participant } from '../../chaos/participant.mjs';
import { Missing, startService } from '../../services/services.mjs';
import { ok } from '../check.mjs';
import { publishOffer } from '../offer.mjs';
import { Outsider } from '../outsider.mjs';
import { binary, environment, eventually, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';

const mediaClient = path.join(path.dirname(binary), '..', 'bench', 'sfu', 'sfu_load');
const tasks = {
  meeting: ['meeting_create', 'meeting_end', 'meeting_user_join', 'meeting_user_leave'],
  media: ['media_stream_process', 'media_recording_start', 'media_recording_stop', 'media_transcode'],
  signaling: ['signaling_webrtc_offer', 'signaling_webrtc_answer', 'signaling_ice_candidate', 'signaling_connection_manage'],
  ai: ['speech_recognition', 'emotion_detection', 'audio_denoising', 'video_enhancement'],
};
const withoutEngine = [...tasks.media, ...tasks.ai];

class Follower {
  constructor(server) {
    this.events = [];
    this.child = spawn(binary, ['events', '--follow', '--json'], { env: environment(server.dataDir), stdio: ['ignore', 'pipe', 'inherit'] });
    let rest = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      this.events.push(...lines.map((line) => JSON.parse(line)));
    });
    this.over = new Promise((resolve) => this.child.once('exit', resolve));
  }

  has(type, isWanted = () => true, channel = undefined) {
    return this.events.some((e) => e.type === type && (!channel || e.channel === channel) && isWanted(e.payload ?? {}));
  }

  async sees(type, isWanted, channel) {
    await eventually(() => this.has(type, isWanted, channel), { ms: 15_000 })
      .catch(() => assert.fail(`no ${type} among ${this.events.map((e) => e.type).join(' ')}`));
  }

  async stop() {
    this.child.kill('SIGINT');
    await this.over;
  }
}

for (const bus of ['memory', 'redis', 'rabbitmq', 'kafka']) {
  let broker, missing = false;
  try {
    if (bus !== 'memory') broker = await startService(bus);
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    missing = `no ${bus}: ${problem.message}`;
  }

  describe(`the catalogue over ${bus}`, { skip: missing }, () => {
    const noOutsider = !broker && 'nobody else can put it there';
    let server, host, guest, stranger, follower, meeting, wire, place, track, them;
    const participant = async () => ok(await host.get(`/api/v1/meetings/${meeting.id}/participants`)).participants
      .find((one) => one.id === place.id);

    before(async () => {
      server = await startServer({ env: { PARLANCE_MEDIA_HOST: '127.0.0.1', ...(broker && {
        PARLANCE_EVENT_BUS_TYPE: bus, PARLANCE_EVENT_BUS_URL: broker.url, PARLANCE_MESSAGE_QUEUE_TYPE: bus,
      }) } });
      if (broker) await eventually(async () => (await server.client().get('/ready')).body.status === 'ready', { ms: 60_000 });
      if (broker) them = await Outsider.of(bus, broker);
      host = await server.register('hostess');
      guest = await server.register('guido');
      stranger = await server.register('stan');
      follower = new Follower(server);
      // It hears from its first question on.
      await eventually(async () => {
        ok(await host.put(`/api/v1/users/${host.user.id}`, { description: `${Math.random()}` }));
        return follower.has('user.updated');
      }, { ms: 60_000, every: 200 });
    });
    after(async () => {
      await them?.close();
      await follower?.stop();
      await server?.stop({ areErrorsExpected: Boolean(broker) });
      await broker?.stop();
    });

    test('a meeting, its people, what they send', async () => {
      meeting = ok(await host.post('/api/v1/meetings', { title: 'Watched' }), 201);
      await follower.sees('meeting.created');
      ({ participant: place } = ok(await host.post(`/api/v1/meetings/${meeting.id}/join`, {})));
      await follower.sees('meeting.started');
      await follower.sees('meeting.user_joined');
      wire = await Signaler.open(server, host);
      await wire.join(meeting);
      await follower.sees('session.created', (e) => e.participant_id === place.id);
      ({ tracks: [track] } = await wire.ask('offer', { sdp: publishOffer(), tracks: [{ mid: '0', source: 'microphone' }, { mid: '1', source: 'camera' }] }));
      await wire.ok('ice_candidate', { connection: 'publish', candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host' });
      await follower.sees('webrtc.offer', (e) => e.connection === 'publish');
      await follower.sees('webrtc.ice_candidate');
      await follower.sees('stream.started', (e) => e.track.source === 'camera');
      // Meeting hears both.
      await eventually(async () => (await participant()).streams.length === 2, { ms: 15_000 });
      assert.ok((await participant()).connected_at_ms > 0);
    });

    test('media that flow, and stop', async (t) => {
      const media = new Media({ program: mediaClient, host: '127.0.0.1' });
      const said = [];
      const joined = ok(await guest.post(`/api/v1/meetings/${meeting.id}/join`, {}));
      const someone = new Participant({ number: 1, server, client: guest, meeting, media, say: (line) => said.push(line) });
      const theirs = (e) => e.participant_id === joined.participant.id;
      const living = someone.live();
      t.after(async () => {
        someone.stop();
        await living;
        await media.stop();
      });
      await follower.sees('webrtc.connected', theirs, 'media_events').catch((problem) => assert.fail(`${problem.message}; ${said.join('; ')}`));
      await follower.sees('webrtc.connected', theirs, 'signaling_events');
      await follower.sees('webrtc.answer', theirs); // to what the host sends
      media.close(someone.sending);
      await follower.sees('webrtc.disconnected', theirs, 'media_events');
      await follower.sees('webrtc.disconnected', theirs, 'signaling_events');
      ok(await guest.post(`/api/v1/meetings/${meeting.id}/leave`));
    });

    test('what AI of somebody else made is kept, and told', { skip: noOutsider }, async () => {
      const envelope = { id: 'a-result-of-theirs', channel: 'ai_events', type: 'audio_denoising.completed', key: meeting.id, at_ms: Date.now() };
      const payload = { version: 1, type: envelope.type, meeting_id: meeting.id, stream_id: track.id, at_ms: Date.now(),
        result: { task: 'audio_denoising', id: 'theirs', status: 'done', reply: '{"gain":3}' } };
      await them.put('ai_events', { ...envelope, payload });
      await them.put('ai_events', { ...envelope, payload }); // again: it counts once
      await follower.sees('audio_denoising.completed');
      await wire.next('track_changed', (f) => f.track.id === track.id && f.track.processed.includes('audio_denoising'), 15_000);
      await eventually(async () => {
        const { results } = ok(await host.get(`/api/v1/meetings/${meeting.id}/results`));
        return results.length === 1 && results[0].task_id === 'theirs' && results[0].reply === '{"gain":3}';
      }, { ms: 15_000 });
      assert.equal((await stranger.get(`/api/v1/meetings/${meeting.id}/results`)).status, 404);
    });

    test('each task is answered', { skip: noOutsider }, async () => {
      for (const [service, names] of Object.entries(tasks))
        for (const name of names)
          await them.put(`tasks.${service}`, { type: name, key: service, payload: { id: `${name} of ours`, actor_id: host.user.id, engine: { stream_id: 's' } } });
      for (const name of Object.values(tasks).flat()) {
        const isIts = (e) => e.payload?.result?.id === `${name} of ours`;
        await eventually(() => follower.events.some(isIts), { ms: 20_000 }).catch(() => assert.fail(`no result of ${name}`));
        assert.equal(follower.events.find(isIts).payload.result.status, withoutEngine.includes(name) ? 'no_engine' : 'invalid_argument', name);
      }
      await them.put('tasks.meeting', { type: 'meeting_create', key: 'meeting', payload: { id: 'made', actor_id: guest.user.id, meeting_create: { title: 'By a task' } } });
      await follower.sees('task.finished', (e) => e.result?.id === 'made' && e.result.status === 'done', 'meeting_events');
    });

    test('and their end', async () => {
      await wire.ok('leave_room').catch(() => {});
      await follower.sees('session.closed', (e) => e.participant_id === place.id);
      await follower.sees('stream.stopped', (e) => e.track.source === 'camera');
      await follower.sees('meeting.user_left');
      await eventually(async () => {
        const { connected_at_ms: since, streams, attended_ms: attended } = await participant();
        return Number(since) === 0 && streams.length === 0 && attended > 0;
      }, { ms: 15_000 });
      ok(await host.post(`/api/v1/meetings/${meeting.id}/end`));
      await follower.sees('meeting.ended');
      for (const local of ['meeting_created', 'meeting_ended', 'stream_started', 'stream_stopped', 'session_created', 'session_closed', 'ice_candidate_added'])
        await follower.sees(local, undefined, 'local');
    });
  });
}
