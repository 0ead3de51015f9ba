// Meetings over several processes: two signaling instances, two media nodes, everything else in a third place, over one
// PostgreSQL. People land on either instance and are in one meeting; media nodes and instances die, freeze and leave.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { ok } from '../check.mjs';
import { SECRET } from '../grpc_client.mjs';
import { publishOffer } from '../offer.mjs';
import { freePort } from '../../services/ports.mjs';
import { eventually, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';

async function tryService(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (problem instanceof Missing) return null;
    throw problem;
  }
}

async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

const CORE = ['user', 'auth', 'meeting', 'file', 'message', 'presence', 'task'];
const postgres = await tryService('postgres');
const redis = postgres && await tryService('redis');
const etcd = redis && await tryService('etcd'); // else each is told where the others are
const missing = !postgres ? 'there is no PostgreSQL here' : !redis ? 'there is no Redis here' : false;
if (missing) await postgres?.stop();

// One configuration for all processes, but for the ports that are a process's own.
class Cluster {
  constructor() { this.processes = new Map(); }

  async plan() {
    const names = [...CORE, 'signaling-a', 'signaling-b', 'media-a', 'media-b', 'udp-media-a', 'udp-media-b'];
    const ports = await freePorts(names.length);
    this.ports = Object.fromEntries(names.map((name, i) => [name, ports[i]]));
    this.remote = names.filter((name) => !name.startsWith('udp')).map((name) => `${name.split('-')[0]}=127.0.0.1:${this.ports[name]}`).join(',');
  }

  get registry() {
    if (!etcd) return { PARLANCE_SERVICES_REMOTE: this.remote };
    return { PARLANCE_REGISTRY_TYPE: 'etcd', PARLANCE_REGISTRY_ENDPOINTS: etcd.url, PARLANCE_REGISTRY_ADVERTISE: '127.0.0.1' };
  }

  async start(name) {
    const services = name === 'core' ? [...CORE, 'gateway'] : [name.split('-')[0]];
    const own = name === 'core' ? CORE : [name];
    const ports = Object.fromEntries(own.map((each) => [
      `PARLANCE_GRPC_PORTS_${each.split('-')[0].toUpperCase()}`, String(this.ports[each])]));
    const server = await startServer({
      args: ['serve', `--services=${services.join(',')}`],
      env: {
        PARLANCE_STORE_DRIVER: 'postgres', PARLANCE_STORE_URL: postgres.url, CLUSTER_SECRET: SECRET,
        JWT_SECRET: 'a secret that only these tests know, long enough', PARLANCE_GRPC_HOST: '127.0.0.1',
        PARLANCE_EVENT_BUS_TYPE: 'redis', PARLANCE_EVENT_BUS_URL: redis.url,
        PARLANCE_MEDIA_PORT: String(this.ports[`udp-${name}`] ?? 0),
        PARLANCE_HTTP_DRAIN_MS: '4000', PARLANCE_MEDIA_HOST: '127.0.0.1', ...this.registry, ...ports,
      },
    });
    this.processes.set(name, server);
    return server;
  }

  get(name) { return this.processes.get(name); }

  async end(name, signal = 'SIGKILL') {
    const server = this.get(name);
    this.processes.delete(name);
    if (signal === 'SIGKILL') server.child.kill('SIGCONT');
    return server.stop({ signal, areErrorsExpected: true });
  }

  async stop() {
    for (const name of ['signaling-a', 'signaling-b', 'media-a', 'media-b', 'core'])
      if (this.processes.has(name)) await this.end(name, 'SIGTERM');
  }
}

describe('meetings over several processes', { skip: missing }, () => {
  const cluster = new Cluster();
  const wires = [];
  let admin, host, guest;

  before(async () => {
    await cluster.plan();
    for (const name of ['core', 'media-a', 'media-b', 'signaling-a', 'signaling-b']) await cluster.start(name);
    admin = await cluster.get('core').register('root');
    [host, guest] = [await cluster.get('core').register('hostess'), await cluster.get('core').register('guido')];
    for (const name of ['signaling-a', 'signaling-b'])
      await eventually(() => nodesOf(name, 'media') === 2 && nodesOf(name, 'signaling') === 1, { ms: 10_000 });
  });

  after(async () => {
    for (const wire of wires) wire.close();
    await cluster.stop();
    await postgres.stop();
    await redis.stop();
    await etcd?.stop();
  });

  // How many of a kind an instance found, by its log.
  function nodesOf(name, kind) {
    return cluster.get(name).log.filter((line) => line.msg.startsWith(`signaling: ${kind} node`) && / is at /.test(line.msg)).length;
  }

  async function make() {
    const meeting = ok(await host.post('/api/v1/meetings', { title: 'Apart' }), 201);
    for (const who of [host, guest]) ok(await who.post(`/api/v1/meetings/${meeting.id}/join`));
    return meeting;
  }

  async function enter(who, meeting, through, { resumeToken } = {}) {
    const wire = await Signaler.open(cluster.get(through), who);
    wires.push(wire);
    wire.room = await wire.join(meeting, { resumeToken });
    return wire;
  }

  // Which media node has the meeting: its candidate is in every answer.
  function portIn(sdp) { return Number(/candidate:\S+ 1 udp \d+ \S+ (\d+) typ host/i.exec(sdp)[1]); }

  const publish = (wire) => wire.ask('offer', { sdp: publishOffer(), tracks: [{ mid: '0', source: 'microphone' }, { mid: '1', source: 'camera' }] });

  test('people of one meeting land on different instances and see each other', async () => {
    const meeting = await make();
    const one = await enter(host, meeting, 'signaling-a');
    const two = await enter(guest, meeting, 'signaling-b');
    assert.deepEqual(two.room.participants.map((p) => p.id).sort(), [one.room.participant_id, two.room.participant_id].sort());
    assert.equal((await one.next('participant_joined')).participant.id, two.room.participant_id);
    await two.ok('raise_hand', { is_raised: true });
    assert.equal((await one.next('participant_changed')).participant.is_hand_raised, true);
    await one.ok('reaction', { emoji: '👏' });
    assert.equal((await two.next('reaction')).emoji, '👏');
    // Both have their media on the same node.
    const answers = [await publish(one), await publish(two)];
    for (const answer of answers) assert.equal(answer.type, 'answer', JSON.stringify(answer));
    assert.equal(portIn(answers[0].sdp), portIn(answers[1].sdp));
    // An administrator sees both, whoever is asked, and etcd where they are.
    for (const name of ['signaling-a', 'signaling-b']) {
      const there = Object.assign(cluster.get(name).client(), { token: admin.token });
      const list = ok(await there.get(`/api/v1/signaling/connections?meeting_id=${meeting.id}`)).connections;
      assert.equal(list.length, 2, name);
    }
    if (etcd) assert.match(etcd.ctl('get', '--prefix', '/parlance/').stdout, new RegExp(`${meeting.id}\\n\\{"signaling_id":"[^"]+","media_id":"[^"]+"`));
    // A line that breaks comes back, over the other instance even.
    await two.cut();
    assert.equal((await one.next('participant_changed', (e) => !e.participant.is_connected)).participant.id, two.room.participant_id);
    const back = await enter(guest, meeting, 'signaling-a', { resumeToken: two.room.resume_token });
    assert.equal(back.room.is_resumed, true);
    assert.equal(back.room.session_id, two.room.session_id);
    await back.ok('leave_room');
    await one.next('participant_left');
    assert.equal((await back.closed).code, 1000);
    await one.ok('leave_room');
  });

  test('meetings are spread over the media nodes', async () => {
    const ports = new Set();
    for (let i = 0; i < 6; i++) {
      const meeting = await make();
      const one = await enter(host, meeting, i % 2 ? 'signaling-a' : 'signaling-b');
      ports.add(portIn((await publish(one)).sdp));
    }
    assert.equal(ports.size, 2);
  });

  // The name of the media node that has a meeting, by an answer's candidate.
  function nodeIn(sdp) {
    const port = portIn(sdp);
    return ['media-a', 'media-b'].find((name) => cluster.ports[`udp-${name}`] === port);
  }

  // Both inside, over different instances, with tracks that the other is offered.
  async function talk() {
    const meeting = await make();
    const one = await enter(host, meeting, 'signaling-a');
    const two = await enter(guest, meeting, 'signaling-b');
    const answers = [await publish(one), await publish(two)];
    await offered(one);
    await offered(two);
    return { meeting, one, two, node: nodeIn(answers[0].sdp) };
  }

  async function offered(wire) {
    const offer = await wire.next('offer', (e) => e.places.length >= 2, 5000);
    assert.match(offer.sdp, /a=setup:actpass/);
    return offer;
  }

  // Where the other media node is, everything begins anew there, within ten seconds, and nobody has to ask.
  async function comeBack({ one, two, node }, from) {
    for (const wire of [one, two]) {
      const former = wire.room.session_id;
      wire.room = await wire.next('room_joined', () => true, 10_000);
      assert.equal(wire.room.is_resumed, false);
      assert.notEqual(wire.room.session_id, former);
      assert.equal(wire.room.participants.length, 2);
      wire.events.length = 0; // of the former node
    }
    for (const wire of [one, two]) {
      const answer = await publish(wire);
      assert.equal(answer.type, 'answer', JSON.stringify(answer));
      assert.notEqual(nodeIn(answer.sdp), node);
    }
    await offered(one);
    await offered(two);
    assert.ok(Date.now() - from < 10_000, `${Date.now() - from} ms`);
  }

  test('a media node that is killed is left within seconds', async () => {
    const call = await talk();
    await cluster.end(call.node);
    await comeBack(call, Date.now());
    await cluster.start(call.node);
    for (const wire of [call.one, call.two]) await wire.ok('leave_room');
  });

  test('a media node that hangs is left, and is nobody\'s when it comes back', async () => {
    const call = await talk();
    cluster.get(call.node).child.kill('SIGSTOP');
    await comeBack(call, Date.now());
    cluster.get(call.node).child.kill('SIGCONT');
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    await call.two.ok('set_muted', { track_id: (await tracksOf(call.two))[0], is_muted: true });
    await call.one.next('track_changed', (e) => e.track.is_muted);
    for (const wire of [call.one, call.two]) await wire.ok('leave_room');
  });

  // One's own tracks, by what the room heard.
  async function tracksOf(wire) {
    const own = wire.events.filter((e) => e.type === 'track_published' && e.track.participant_id === wire.room.participant_id);
    return own.map((e) => e.track.id);
  }

  test('a media node that is told to stop hands its meetings over first', async () => {
    const call = await talk();
    const from = Date.now();
    const ended = cluster.end(call.node, 'SIGTERM');
    await comeBack(call, from);
    assert.equal((await ended).code, 0);
    await cluster.start(call.node);
    for (const wire of [call.one, call.two]) await wire.ok('leave_room');
  });

  test('an instance that is told to stop sends its people on', async () => {
    const { meeting, one, two } = await talk();
    const ended = cluster.end('signaling-a', 'SIGTERM');
    for (const wire of [one, two]) assert.equal((await wire.closed).code, 1001);
    assert.equal((await ended).code, 0);
    const first = await enter(host, meeting, 'signaling-b', { resumeToken: one.room.resume_token });
    const second = await enter(guest, meeting, 'signaling-b', { resumeToken: two.room.resume_token });
    assert.equal(second.room.participants.length, 2);
    assert.equal((await publish(first)).type, 'answer');
    await offered(second);
    for (const wire of [first, second]) await wire.ok('leave_room');
    await cluster.start('signaling-a');
    await eventually(() => nodesOf('signaling-a', 'media') >= 2 && nodesOf('signaling-a', 'signaling') >= 1, { ms: 10_000 });
  });

  test('an instance that owns a meeting is killed: everybody meets again on the other', async () => {
    const { meeting, one, two } = await talk();
    const from = Date.now();
    await cluster.end('signaling-a');
    assert.equal((await two.closed).code, 1001);
    assert.ok(Date.now() - from < 5000);
    const first = await enter(host, meeting, 'signaling-b', { resumeToken: one.room.resume_token });
    const second = await enter(guest, meeting, 'signaling-b', { resumeToken: two.room.resume_token });
    assert.equal(first.room.is_resumed, false);
    assert.equal(first.room.participant_id, one.room.participant_id);
    assert.equal(second.room.participants.length, 2);
    assert.equal((await publish(first)).type, 'answer');
    await offered(second);
    assert.ok(Date.now() - from < 10_000, `${Date.now() - from} ms`);
    for (const wire of [first, second]) await wire.ok('leave_room');
    await cluster.start('signaling-a');
  });

  test('an owner that hangs is an owner no more when it comes back', async () => {
    await eventually(() => nodesOf('signaling-a', 'media') >= 2 && nodesOf('signaling-a', 'signaling') >= 1, { ms: 10_000 });
    const { meeting, one, two } = await talk();
    cluster.get('signaling-a').child.kill('SIGSTOP');
    assert.equal((await two.closed).code, 1001);
    const back = await enter(guest, meeting, 'signaling-b', { resumeToken: two.room.resume_token });
    assert.equal(back.room.is_resumed, false);
    cluster.get('signaling-a').child.kill('SIGCONT');
    assert.equal((await one.closed).code, 1001);
    // What it had sent before is late, so its link breaks once more: as clients do, a little later, and again.
    await new Promise((resolve) => { setTimeout(resolve, 2000); });
    const first = await eventually(async () => {
      const wire = await enter(host, meeting, 'signaling-a', { resumeToken: one.room.resume_token });
      await wire.ok('raise_hand', { is_raised: true });
      return wire;
    }, { ms: 8000 });
    assert.equal(first.room.participants.length, 2);
    for (const wire of [first, back]) await wire.ok('leave_room');
  });
});
