// What a server says of itself arrives at those who collect it: traces in a real Jaeger, in one process and over two,
// with the right parents; the log in what Loki would get.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Missing } from '../../services/services.mjs';
import { startJaeger, startLoki } from '../../services/watchers.mjs';
import { eventually, servicePorts, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';

async function tryJaeger() {
  try {
    return await startJaeger();
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    console.log(`# ${problem.message}`);
    return null;
  }
}

const jaeger = await tryJaeger();
after(() => jaeger?.stop());

const hex = (n) => randomBytes(n).toString('hex');

// Asks with a trace of our own: { trace, span, reply }.
async function traced(client, method, target, body, flags = '01') {
  const [trace, span] = [hex(16), hex(8)];
  const reply = await client.ask(method, target, { body, headers: { traceparent: `00-${trace}-${span}-${flags}` } });
  return { trace, span, reply };
}

class Trace {
  constructor(data) {
    this.spans = data.spans.map((span) => ({
      id: span.spanID, name: span.operationName, start: span.startTime, duration: span.duration,
      parent: span.references.find((one) => one.refType === 'CHILD_OF')?.spanID,
      tags: Object.fromEntries(span.tags.map((tag) => [tag.key, tag.value])),
      service: data.processes[span.processID].serviceName,
      pid: data.processes[span.processID].tags.find((tag) => tag.key === 'process.pid')?.value,
    }));
  }

  named(name) { return this.spans.filter((span) => span.name === name); }
  one(name) {
    const found = this.named(name);
    assert.equal(found.length, 1, `${name} in ${this.spans.map((span) => span.name)}`);
    return found[0];
  }
  parentOf(span) { return this.spans.find((other) => other.id === span.parent); }
}

// Until the spans of these names are there.
function traceOf(id, names) {
  return eventually(async () => {
    const data = await jaeger.trace(id);
    const trace = data && new Trace(data);
    const missing = names.filter((name) => !trace?.named(name).length);
    if (missing.length) throw new Error(`no ${missing} in ${trace?.spans.map((span) => span.name)}`);
    return trace;
  }, { ms: 15_000, every: 200 });
}

describe('traces', { skip: jaeger ? false : 'there is no Jaeger here' }, () => {
  let server, ann;
  before(async () => {
    server = await startServer({ env: { PARLANCE_TELEMETRY_OTLP_URL: jaeger.url, PARLANCE_TELEMETRY_TRUST_INCOMING: 'true', PARLANCE_TELEMETRY_INSTANCE: 'here' } });
    ann = await server.register('ann');
  });
  after(() => server.stop());

  test('a request is one trace, from HTTP to the table', async () => {
    const { trace: id, span, reply } = await traced(ann, 'GET', '/api/v1/users/me');
    assert.equal(reply.status, 200);
    const rpc = 'parlance.user.v1.User/GetUser';
    const trace = await traceOf(id, ['GET /api/v1/users/me', rpc, 'store.read']);
    const http = trace.one('GET /api/v1/users/me');
    assert.equal(http.parent, span);
    assert.equal(http.service, 'parlance-edge');
    assert.equal(http.tags['http.response.status_code'], 200);
    assert.equal(http.tags['span.kind'], 'server');
    assert.equal(trace.one(rpc).parent, http.id);
    assert.equal(trace.one(rpc).service, 'parlance-user');
    const read = trace.named('store.read').find((one) => one.parent === trace.one(rpc).id);
    assert.ok(read);
    assert.ok(read.start >= http.start && read.start + read.duration <= http.start + http.duration);
  });

  test('a write carries its trace through the queue of the store', async () => {
    const bob = await server.register('bob');
    const { trace: id, reply } = await traced(ann, 'POST', '/api/v1/groups', { kind: 'group', title: 'traced', user_ids: [bob.user.id] });
    assert.ok(reply.status < 300, reply.text);
    const trace = await traceOf(id, ['store.write']);
    const write = trace.named('store.write')[0];
    assert.equal(trace.parentOf(write).service, 'parlance-group');
    assert.equal(write.tags['db.system'], 'sqlite');
  });

  test('an event goes on with the trace of what caused it', async () => {
    const group = (await ann.post('/api/v1/groups', { kind: 'group', title: 'heard' })).body;
    const { trace: id, reply } = await traced(ann, 'POST', '/api/v1/messages', {
      conversation_id: group.id, client_msg_id: 'traced-1', content: { kind: 'text', text: 'not for the eyes of whoever traces' },
    });
    assert.ok(reply.status < 300, reply.text);
    const trace = await traceOf(id, ['message_events publish', 'message_events process']);
    const published = trace.named('message_events publish')[0];
    const handled = trace.named('message_events process').find((one) => one.service === 'parlance-gateway');
    assert.equal(trace.parentOf(published).name, 'store.write');
    assert.equal(handled.parent, published.id);
    assert.equal(handled.tags['span.kind'], 'consumer');
    assert.ok(!JSON.stringify(trace.spans).includes('not for the eyes'));
  });

  test('who calls decides', async () => {
    const { trace: unwanted } = await traced(ann, 'GET', '/api/v1/users/me', undefined, '00');
    const { trace: wanted } = await traced(ann, 'GET', '/api/v1/users/me');
    await traceOf(wanted, ['GET /api/v1/users/me']);
    assert.equal(await jaeger.trace(unwanted), null);
  });

  test('what fails says so, and nothing of a person is in it', async () => {
    const { trace: id, reply } = await traced(ann, 'GET', '/api/v1/users/01HZZZZZZZZZZZZZZZZZZZZZZZ');
    assert.equal(reply.status, 404);
    const trace = await traceOf(id, ['GET /api/v1/users/:id', 'parlance.user.v1.User/GetUser']);
    assert.equal(trace.one('parlance.user.v1.User/GetUser').tags.error, true);
    assert.equal(trace.one('GET /api/v1/users/:id').tags.error, undefined); // the client's mistake
    const text = JSON.stringify(await jaeger.trace(id));
    for (const secret of [ann.token, ann.user.id, '01HZZZZZZZZZZZZZZZZZZZZZZZ', 'ann'])
      assert.ok(!text.includes(secret), secret);
  });

  test('frames of signaling are traces', async () => {
    const meeting = (await ann.post('/api/v1/meetings', { title: 'traced' })).body;
    assert.equal((await ann.post(`/api/v1/meetings/${meeting.id}/join`)).status, 200);
    const signaler = await Signaler.open(server, ann);
    await signaler.join(meeting);
    await eventually(async () => {
      const reply = await (await fetch(`${jaeger.api}/api/traces?service=parlance-signaling&operation=join_room`)).json();
      if (!reply.data?.length) throw new Error('no trace of join_room');
      const trace = new Trace(reply.data[0]);
      const join = trace.one('join_room');
      assert.equal(join.parent, undefined);
      const calls = trace.spans.filter((one) => one.parent === join.id).map((one) => one.service);
      assert.ok(calls.includes('parlance-meeting') && calls.includes('parlance-media'), calls);
    }, { ms: 15_000, every: 200 });
    await signaler.close();
  });
});

describe('traces over two processes', { skip: jaeger ? false : 'there is no Jaeger here' }, () => {
  const others = ['media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task', 'gateway'];
  let accounts, rest, ann;
  before(async () => {
    const env = {
      CLUSTER_SECRET: 'a-secret-of-this-cluster-that-is-long-enough', PARLANCE_GRPC_HOST: '127.0.0.1',
      ...servicePorts('GRPC', ['user', 'auth', ...others.slice(0, -1)]), PARLANCE_TELEMETRY_OTLP_URL: jaeger.url,
      PARLANCE_TELEMETRY_TRUST_INCOMING: 'true',
    };
    accounts = await startServer({ env, args: ['serve', '--services=user,auth'] });
    const portOf = (name) => accounts.output.match(new RegExp(`gRPC: ${name} on port (\\d+)`))[1];
    rest = await startServer({
      env: { ...env, PARLANCE_SERVICES_REMOTE: ['user', 'auth'].map((name) => `${name}=127.0.0.1:${portOf(name)}`).join(',') },
      args: ['serve', `--services=${others.join(',')}`],
    });
    ann = await rest.register('ann');
  });
  after(async () => { await rest?.stop(); await accounts?.stop(); });

  test('who asks and who answers are in one trace', async () => {
    const { trace: id, reply } = await traced(ann, 'GET', '/api/v1/users/me');
    assert.equal(reply.status, 200);
    const rpc = 'parlance.user.v1.User/GetUser';
    const trace = await traceOf(id, ['GET /api/v1/users/me', rpc, 'store.read']);
    const http = trace.one('GET /api/v1/users/me');
    const asks = trace.named(rpc).find((one) => one.tags['span.kind'] === 'client');
    const answers = trace.named(rpc).find((one) => one.tags['span.kind'] === 'server');
    assert.equal(asks.parent, http.id);
    assert.equal(answers.parent, asks.id);
    assert.notEqual(asks.pid, answers.pid);
  });
});

describe('the log in Loki', () => {
  test('lines arrive with their labels, and a Loki that is away costs nothing', async () => {
    const loki = await startLoki();
    const server = await startServer({ env: { PARLANCE_LOG_LOKI_URL: loki.url, PARLANCE_TELEMETRY_INSTANCE: 'node-1' } });
    const lines = () => loki.streams.flatMap(({ labels, lines: list }) => list.map((one) => ({ labels, ...one })));
    const ready = await eventually(() => lines().find(({ line }) => line.includes('is ready')) ?? false, { ms: 10_000 });
    assert.deepEqual(ready.labels, { service: 'parlance', instance: 'node-1', level: 'info' });
    const parsed = JSON.parse(ready.line);
    assert.ok(Math.abs(Number(ready.ns / 1_000_000n) - Date.parse(parsed.ts)) < 1000);
    assert.ok(server.log.some((line) => line.msg === parsed.msg)); // stdout has it, too
    loki.answer = 503;
    await server.register('ann');
    const how = await server.stop();
    assert.ok(how.ms < 8000, `${how.ms} ms`);
    await loki.stop();
  });
});
