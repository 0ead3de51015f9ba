// The catalogue of docs/events.md as an operator sees it by `parlance events --follow`: each event when it happens, each task
// that another system puts on the broker, and what those do who listen. In one process alone, and over a real Redis.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { ok } from '../check.mjs';
import { publishOffer } from '../offer.mjs';
import { binary, environment, eventually, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';

async function tryService(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (problem instanceof Missing) return null;
    throw problem;
  }
}

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

const redis = await tryService('redis');

for (const bus of ['memory', 'redis']) {
  const isAway = bus === 'redis' && !redis && 'there is no redis-server here';

  describe(`the catalogue over ${bus}`, { skip: isAway }, () => {
    let server, host, guest, follower, meeting, wire, place, track;

    // As another system would: JSON onto the broker.
    const put = (stream, envelope) =>
      assert.match(redis.cli('XADD', `{parlance}:meeting.${stream}`, '*', 'e', JSON.stringify({ version: 1, ...envelope })), /^\d+-\d+$/);
    const participant = async () => ok(await host.get(`/api/v1/meetings/${meeting.id}/participants`)).participants
      .find((one) => one.id === place.id);

    before(async () => {
      server = await startServer({ env: bus === 'memory' ? {} : {
        PARLANCE_EVENT_BUS_TYPE: bus, PARLANCE_EVENT_BUS_URL: redis.url, PARLANCE_MESSAGE_QUEUE_TYPE: bus,
      } });
      if (bus === 'redis') await eventually(async () => (await server.client().get('/ready')).body.status === 'ready', { ms: 15_000 });
      host = await server.register('hostess');
      guest = await server.register('guido');
      follower = new Follower(server);
      // It hears from its first question on.
      await eventually(async () => {
        ok(await host.put(`/api/v1/users/${host.user.id}`, { description: `${Math.random()}` }));
        return follower.has('user.updated');
      }, { ms: 20_000, every: 200 });
    });
    after(async () => {
      await follower?.stop();
      await server?.stop({ areErrorsExpected: bus === 'redis' });
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

    test('what AI of somebody else made is kept, and told', { skip: bus === 'memory' && 'nobody else can put it there' }, async () => {
      const envelope = { id: 'a-result-of-theirs', channel: 'ai_events', type: 'audio_denoising.completed', key: meeting.id, at_ms: Date.now() };
      const payload = { version: 1, type: envelope.type, meeting_id: meeting.id, stream_id: track.id, at_ms: Date.now(),
        result: { task: 'audio_denoising', id: 'theirs', status: 'done', reply: '{"gain":3}' } };
      put('ai_events', { ...envelope, payload });
      put('ai_events', { ...envelope, payload }); // again: it counts once
      await follower.sees('audio_denoising.completed');
      await wire.next('track_changed', (f) => f.track.id === track.id && f.track.processed.includes('audio_denoising'), 15_000);
      await eventually(async () => {
        const { results } = ok(await host.get(`/api/v1/meetings/${meeting.id}/results`));
        return results.length === 1 && results[0].task_id === 'theirs' && results[0].reply === '{"gain":3}';
      }, { ms: 15_000 });
      assert.equal((await guest.get(`/api/v1/meetings/${meeting.id}/results`)).status, 404);
    });

    test('each task is answered', { skip: bus === 'memory' && 'nobody else can put it there' }, async () => {
      for (const [service, names] of Object.entries(tasks))
        for (const name of names)
          put(`tasks.${service}`, { type: name, key: service, payload: { id: `${name} of ours`, actor_id: host.user.id, engine: { stream_id: 's' } } });
      for (const name of Object.values(tasks).flat()) {
        const isIts = (e) => e.payload?.result?.id === `${name} of ours`;
        await eventually(() => follower.events.some(isIts), { ms: 20_000 }).catch(() => assert.fail(`no result of ${name}`));
        assert.equal(follower.events.find(isIts).payload.result.status, withoutEngine.includes(name) ? 'no_engine' : 'invalid_argument', name);
      }
      put('tasks.meeting', { type: 'meeting_create', key: 'meeting', payload: { id: 'made', actor_id: guest.user.id, meeting_create: { title: 'By a task' } } });
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

after(() => redis?.stop());
