// Another system on the same broker, by that broker's usual client for Node: what docs/events.md promises to those who write to it.
//
//   const them = await Outsider.of('kafka', service);
//   await them.put('tasks.meeting', { type: 'meeting_create', key: 'meeting', payload: {…} });   // onto meeting.tasks.meeting, as JSON
//   await them.close();
import assert from 'node:assert/strict';
import amqp from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';

const text = (envelope) => JSON.stringify({ version: 1, ...envelope });

function onRedis(redis) {
  return {
    put: async (name, envelope) => assert.match(redis.cli('XADD', `{parlance}:meeting.${name}`, '*', 'e', text(envelope)), /^\d+-\d+$/),
    close: async () => {},
  };
}

async function onRabbit(rabbit) {
  const connection = await amqp.connect(rabbit.url);
  connection.on('error', () => {}); // a channel's failure is the failure of what was put
  const channel = await connection.createConfirmChannel();
  return {
    put: async (name, envelope) => {
      await channel.checkExchange(`meeting.${name}`);
      channel.publish(`meeting.${name}`, '', Buffer.from(text(envelope)), { persistent: true });
      await channel.waitForConfirms();
    },
    close: () => connection.close(),
  };
}

async function onKafka(kafka) {
  const client = new Kafka({ clientId: 'another', brokers: [kafka.url.replace('kafka://', '')], logLevel: logLevel.NOTHING });
  const producer = client.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  return {
    put: (name, envelope) => producer.send({ topic: `meeting.${name}`, acks: -1, messages: [{ key: envelope.key, value: text(envelope) }] }),
    close: () => producer.disconnect(),
  };
}

const kinds = { redis: onRedis, rabbitmq: onRabbit, kafka: onKafka };

export const Outsider = { of: (kind, service) => kinds[kind](service) };
