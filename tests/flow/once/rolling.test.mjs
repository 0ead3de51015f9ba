// A deployment in pieces while its processes are replaced, one after the other, and while a gateway is killed: no request fails,
// and nothing that was acknowledged is missed.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const engines = [];
let missing = false;
for (const name of ['postgres', 'redis', 'etcd']) {
  try {
    const engine = await startService(name);
    engines.push(engine);
    process.env[`PARLANCE_TEST_${name.toUpperCase()}_URL`] = engine.url;
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    missing = `there is no ${name} here`;
    break;
  }
}
process.env.PARLANCE_TEST_SHAPE = 'split';
const { judge } = await import('../history.mjs');
const { startServer } = await import('../server.mjs');
const { Storm } = await import('../storm.mjs');

after(() => Promise.all(engines.map((engine) => engine.stop())));

describe('replacing', { skip: missing }, () => {
  let server, ann, bob, conversation;
  before(async () => {
    server = await startServer({ env: { PARLANCE_HTTP_DRAIN_MS: '5000' } });
    [ann, bob] = [await server.register('ann'), await server.register('bob')];
    const first = await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: 'first', content: { text: 'first' } });
    conversation = first.body.message?.conversation_id ?? first.body.conversation_id;
  });
  after(() => server.stop());

  // What a client asks all the time: something of each service. It tries nothing again but, as every client and proxy must
  // (RFC 9112, 9.5), what it sent on an idle connection that was just being closed.
  async function load(answers, isOver) {
    for (let n = 0; !isOver(); n += 1) {
      const asked = [
        () => ann.get('/api/v1/users/me'),
        () => ann.post('/api/v1/messages', { conversation_id: conversation, client_msg_id: `k${n}`, content: { text: `number ${n}` } }),
        () => bob.get(`/api/v1/conversations/${conversation}/messages`),
        () => bob.get(`/api/v1/presence/${ann.user.id}`),
        () => ann.get('/api/v1/meetings'),
        () => bob.get('/api/v1/files'),
      ][n % 6];
      const said = (problem) => ({ status: 0, text: `${problem.message} ${problem.cause?.message ?? ''}` });
      let reply = await asked().catch(said);
      if (reply.status === 0) {
        answers.closed = (answers.closed ?? 0) + 1;
        reply = await asked().catch(said);
      }
      answers.push({ status: reply.status, text: reply.status > 0 && reply.status < 300 ? '' : reply.text, n });
      await pause(5);
    }
  }

  test('each process by a new one of its kind, under load', { timeout: 240_000 }, async () => {
    for (const name of ['accounts', 'messages-1', 'messages-2', 'gateway-1']) {
      const answers = [];
      let isOver = false;
      const loading = load(answers, () => isOver);
      const { services } = server.processes.find((one) => one.name === name);
      server.processes.push({ name: `new-${name}`, services });
      await server.startPart(`new-${name}`);
      await server.together();
      await pause(300);
      const targets = server.targets(); // the balancer sends nobody new there
      server.front.set({ ...targets, gateways: targets.gateways.filter((address) => address !== server.parts.get(name).address) });
      await pause(100);
      await server.parts.get(name).stop({ keepData: true });
      server.processes.splice(server.processes.findIndex((one) => one.name === name), 1);
      server.parts.delete(name);
      await server.together();
      await pause(300);
      isOver = true;
      await loading;
      assert.ok(answers.length > 10, `${name}: ${answers.length} answers`);
      assert.ok((answers.closed ?? 0) <= (name.startsWith('gateway') ? 3 : 0), `${name}: ${answers.closed} connections closed under requests`);
      assert.deepEqual(answers.filter((one) => one.status < 200 || one.status >= 300), [], name);
    }
  });
});

test('a gateway is killed: who was there comes back elsewhere with nothing lost', { skip: missing, timeout: 180_000 }, async () => {
  const storm = await new Storm().begin();
  const isLoss = (problem) => /^closed|ECONN|socket hang up|not open/.test(problem.message);
  async function connect(device) {
    for (let tries = 0; ; tries += 1) {
      try { return await device.connect(storm.server); } catch (problem) {
        if (!isLoss(problem) || tries > 50) throw problem;
        await pause(200);
      }
    }
  }
  async function talk(device) {
    for (;;) {
      try {
        await device.resend();
        while (!storm.isQuiet) await (device === storm.tablet ? pause(50) : device.act());
        await device.resend();
        return await device.catchUp();
      } catch (problem) {
        if (!isLoss(problem)) throw problem;
        device.cut();
        await connect(device);
      }
    }
  }
  for (const name of ['gateway-1', 'gateway-2']) {
    storm.isQuiet = false;
    for (const device of storm.devices) await connect(device);
    const talking = storm.devices.map(talk);
    await pause(500);
    await storm.server.parts.get(name).stop({ signal: 'SIGKILL', keepData: true });
    storm.server.front.set(storm.server.targets());
    await pause(1500);
    storm.isQuiet = true;
    await Promise.all(talking);
    await storm.server.startPart(name);
    for (const device of storm.devices) await device.close();
  }
  const count = await storm.end();
  await storm.server.stop({ keepData: true, areErrorsExpected: true });
  rmSync(storm.dataDir, { recursive: true, force: true });
  assert.deepEqual(judge(storm.history.records), []);
  assert.ok(count > 10, 'there was something to judge');
});
