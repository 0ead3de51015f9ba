// Meetings over several processes: two signaling instances, two media nodes, everything else in a third place, over one
// PostgreSQL. People land on either instance and are in one meeting; media nodes and instances die, freeze and leave.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { eventuallyOk, ok } from '../check.mjs';
import { SECRET } from '../grpc_client.mjs';
import { publishOffer } from '../offer.mjs';
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
  const probes = await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const probe = net.createServer().once('error', reject).listen(0, '127.0.0.1', () => resolve(probe));
  })));
  const ports = probes.map((probe) => probe.address().port);
  await Promise.all(probes.map((probe) => new Promise((resolve) => { probe.close(resolve); })));
  return ports;
}

const CORE = ['user', 'auth', 'meeting', 'file', 'message', 'presence', 'task'];
const postgres = await tryService('postgres');

// One configuration for all processes, but for the ports that are a process's own.
class Cluster {
  constructor() { this.processes = new Map(); }

  async plan() {
    const names = [...CORE, 'signaling-a', 'signaling-b', 'media-a', 'media-b'];
    const ports = await freePorts(names.length);
    this.ports = Object.fromEntries(names.map((name, i) => [name, ports[i]]));
    this.remote = names.map((name) => `${name.split('-')[0]}=127.0.0.1:${this.ports[name]}`).join(',');
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
        PARLANCE_MEDIA_HOST: '127.0.0.1', PARLANCE_SERVICES_REMOTE: this.remote, ...ports,
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

describe('meetings over several processes', { skip: postgres ? false : 'there is no PostgreSQL here' }, () => {
  const cluster = new Cluster();
  const wires = [];
  let host, guest;

  before(async () => {
    await cluster.plan();
    for (const name of ['core', 'media-a', 'media-b', 'signaling-a', 'signaling-b']) await cluster.start(name);
    [host, guest] = [await cluster.get('core').register('hostess'), await cluster.get('core').register('guido')];
    for (const name of ['signaling-a', 'signaling-b'])
      await eventuallyOk(() => assert.ok(nodesOf(name, 'media') === 2 && nodesOf(name, 'signaling') === 1));
  });

  after(async () => {
    for (const wire of wires) wire.close();
    await cluster.stop();
    await postgres.stop();
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
});
