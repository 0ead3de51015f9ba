// Events and tasks over a real Kafka, processes found through a real etcd: who is on one gateway hears who is on the other,
// and is told that something was missed when the broker was dead meanwhile.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { SECRET } from '../grpc_client.mjs';
import { eventually, servicePorts, startServer } from '../server.mjs';
import { Talker } from '../talker.mjs';

const UNITS = ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task'];
const BACK_MS = 60_000; // a broker that starts again on a busy machine

let reason = false;
const started = [];
async function tryService(name) {
  try {
    const server = await startService(name);
    started.push(server);
    return server;
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    reason = `no ${name}: ${problem.message}`;
    return null;
  }
}
const [kafka, etcd, postgres] = [await tryService('kafka'), await tryService('etcd'), await tryService('postgres')];
if (reason) await Promise.all(started.map((server) => server.stop()));

describe('two gateways over Kafka', { skip: reason }, () => {
  let main, other, ann, bob, annHere, bobThere, conversation;

  before(async () => {
    const env = {
      CLUSTER_SECRET: SECRET,
      JWT_SECRET: 'a secret of tokens, the same in all of the processes',
      PARLANCE_GRPC_HOST: '127.0.0.1',
      PARLANCE_GRPC_ENABLED: 'true',
      PARLANCE_STORE_DRIVER: 'postgres',
      PARLANCE_STORE_URL: postgres.url,
      PARLANCE_REGISTRY_TYPE: 'etcd',
      PARLANCE_REGISTRY_ENDPOINTS: etcd.url,
      PARLANCE_EVENT_BUS_TYPE: 'kafka',
      PARLANCE_EVENT_BUS_URL: kafka.url,
      PARLANCE_MESSAGE_QUEUE_TYPE: 'kafka',
      PARLANCE_MESSAGES_UPSTREAM: 'true',
      PARLANCE_METRICS_PUBLIC: 'true',
      ...servicePorts('GRPC', UNITS),
    };
    main = await startServer({ env });
    other = await startServer({ env, args: ['serve', '--services=gateway'] });
    await eventually(async () => { for (const one of [main, other]) assert.match(await linked(one), / 1$/); }, { ms: 30_000 });
    [ann, bob] = [await main.register('ann'), await main.register('bob')];
    annHere = await Talker.open(main, ann);
    bobThere = await Talker.open(other, bob);
    listen(annHere);
    listen(bobThere);
    const first = await annHere.ok('send_message', { to_user_id: bob.user.id, client_msg_id: 'first', content: { text: 'first' } });
    conversation = first.conversation_id;
    await eventually(async () => { // who comes to a gateway that has just begun may be told to look instead
      await annHere.say(conversation, 'begun');
      await heard(bobThere, 'begun', 1000);
    }, { ms: 30_000 });
  });

  after(async () => {
    annHere?.socket.close();
    bobThere?.socket.close();
    await other?.stop({ areErrorsExpected: true });
    await main?.stop({ areErrorsExpected: true });
    await Promise.all(started.map((server) => server.stop()));
  });

  async function linked(server) {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return text.match(/^parlance_bus_linked\{driver="kafka",carries="events"\} \d/m)?.[0] ?? '';
  }

  const texts = new Map(); // device -> what it was told
  function listen(device) {
    texts.set(device, []);
    device.socket.on('message', (data) => {
      const { change } = JSON.parse(data.toString());
      if (change?.type === 'message') texts.get(device).push(change.message.content.text);
    });
  }

  const heard = (device, text, ms = 5000) => eventually(() => {
    assert.ok(texts.get(device).includes(text), `${text} among ${texts.get(device)}; socket in state ${device.socket.readyState}`);
  }, { ms });

  test('what is said at one is heard at the other, both ways, in order', async () => {
    for (let i = 0; i < 20; i++) await annHere.say(conversation, `a${i}`);
    await heard(bobThere, 'a19');
    assert.deepEqual(texts.get(bobThere).filter((text) => text.startsWith('a')), Array.from({ length: 20 }, (_, i) => `a${i}`));
    await bobThere.say(conversation, 'from bob');
    await heard(annHere, 'from bob');
    await heard(bobThere, 'from bob');
  });

  test('a gateway is told by its own topic what somebody there reads, and nothing else', async () => {
    const id = (server) => server.log.map((line) => line.msg.match(/^registry: this process is (\S+) at/)).find(Boolean)[1];
    const told = (server) => Buffer.concat(kafka.partitions(`im-downstream-topic-${id(server)}`));
    const carl = await main.register('carl');
    const carlHere = await Talker.open(main, carl);
    await annHere.ok('send_message', { to_user_id: carl.user.id, client_msg_id: 'aside', content: { text: 'said-to-carl-alone' } });
    await annHere.say(conversation, 'said-to-bob-there');
    await heard(bobThere, 'said-to-bob-there');
    await eventually(() => assert.ok(told(other).includes('said-to-bob-there')));
    assert.ok(!told(other).includes('said-to-carl-alone'));
    assert.deepEqual(kafka.topics().filter((topic) => topic.startsWith('meeting.message_e')), ['meeting.message_ephemeral',
      'meeting.message_ephemeral.live']);
    carlHere.socket.close();
  });

  test('each accepted message is a fact of im-upstream-topic, all of a conversation in one partition and in order', async () => {
    const holding = (text) => kafka.partitions('im-upstream-topic').filter((bytes) => bytes.includes(text));
    const said = Array.from({ length: 5 }, (_, i) => `fact-${i}-of-five`);
    for (const text of said) await annHere.say(conversation, text);
    await eventually(() => assert.equal(holding(said.at(-1)).length, 1), { ms: 15_000 });
    const [partition] = holding(said[0]);
    assert.deepEqual(said.map((text) => holding(text).length), said.map(() => 1));
    const places = said.map((text) => partition.indexOf(text));
    assert.deepEqual(places, [...places].sort((a, b) => a - b));
    assert.ok(kafka.partitions('im-upstream-topic').length > 1);
    assert.deepEqual(kafka.topics().filter((topic) => topic.startsWith('im-upstream-topic.')), []); // nothing of it is live
  });

  test('what messaging has to do later travels by im-task-topic', async () => {
    await annHere.ok('send_message', { conversation_id: conversation, client_msg_id: 'later', content: { text: 'said later' },
      send_at_ms: Date.now() + 5500 });
    await heard(bobThere, 'said later', 20_000);
    const bytes = Buffer.concat(kafka.partitions('im-task-topic'));
    assert.ok(bytes.includes('message_schedule'));
  });

  test('while the broker is dead messages are taken and heard at home; who missed them is told, and reads them', async () => {
    await kafka.end('SIGKILL');
    for (let i = 0; i < 10; i++) await annHere.say(conversation, `dark${i}`);
    await heard(annHere, 'dark9');
    await eventually(async () => assert.match(await linked(main), / 0$/), { ms: 10_000 });
    assert.equal((await fetch(`${main.url}/ready`)).status, 200);
    const told = bobThere.event((frame) => frame.missed, 'missed', BACK_MS);
    kafka.start();
    await told;
    const log = (await bob.get(`/api/v1/conversations/${conversation}/messages?limit=50`)).body.messages;
    const dark = log.map((message) => message.content.text).filter((text) => text.startsWith('dark'));
    assert.deepEqual(dark.sort(), Array.from({ length: 10 }, (_, i) => `dark${i}`));
    await eventually(async () => assert.match(await linked(main), / 1$/), { ms: BACK_MS });
    await eventually(async () => {
      await annHere.say(conversation, 'after');
      await heard(bobThere, 'after', 2000);
    }, { ms: BACK_MS });
  });
});
