// The document of the sockets: AsyncAPI 3.0 whose references lead somewhere, the same from the command and from the server, with every
// field of every frame that proto/gateway.proto and proto/signaling.proto know; and what the sockets really say is what it describes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ok } from './check.mjs';
import { run, startServer } from './server.mjs';
import { Talker } from './talker.mjs';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const printed = run(['asyncapi']);
const document = JSON.parse(printed.stdout);
const at = (ref) => ref.replace(/^#\//, '').split('/').reduce((node, key) => node?.[key], document);
const deref = (node) => (node.$ref ? deref(at(node.$ref)) : node);

function walk(node, visit) {
  if (!node || typeof node !== 'object') return;
  visit(node);
  for (const child of Object.values(node)) walk(child, visit);
}

test('its shape is that of AsyncAPI 3.0', () => {
  assert.equal(printed.status, 0, printed.stderr);
  assert.equal(document.asyncapi, '3.0.0');
  assert.ok(document.info.title && document.info.version);
  assert.deepEqual(Object.keys(document).sort(), ['asyncapi', 'channels', 'components', 'defaultContentType', 'info', 'operations']);
  walk(document, (node) => { if (node.$ref) assert.ok(at(node.$ref), node.$ref); });
  const names = ['channels', 'operations'].flatMap((part) => Object.keys(document[part]))
    .concat(...['messages', 'schemas'].map((part) => Object.keys(document.components[part])));
  for (const name of names) assert.match(name, /^[\w.-]+$/);
  for (const channel of Object.values(document.channels)) {
    assert.match(channel.address, /^\/ws\//);
    assert.ok(channel.summary);
  }
  for (const [name, operation] of Object.entries(document.operations)) {
    assert.ok(['send', 'receive'].includes(operation.action), name);
    for (const message of [...operation.messages, ...operation.reply?.messages ?? []]) {
      // AsyncAPI wants messages of an operation to be those of its channel.
      assert.ok(message.$ref.startsWith(`${operation.channel.$ref}/messages/`), `${name} ${message.$ref}`);
      assert.ok(deref(message).payload, name);
    }
  }
  for (const message of Object.values(document.components.messages)) assert.ok(message.name && message.title && message.payload);
});

test('a broken reference is noticed', () => {
  assert.equal(at('#/components/schemas/no.Such'), undefined);
});

// What protoc's input says, read by other means than the program's.
const proto = Object.fromEntries(['gateway', 'signaling', 'message', 'group', 'contact', 'presence', 'meeting', 'media'].map((file) => {
  const text = readFileSync(path.join(root, 'proto', `${file}.proto`), 'utf8').replace(/\/\/.*$/gm, '');
  return [file, Object.fromEntries([...text.matchAll(/^message (\w+) \{\}|^message (\w+) \{([^]*?)^\}/gm)].map(([, empty, name, body]) => [
    name ?? empty, [...(body ?? '').matchAll(/([\w.]+) (\w+) = \d+(?: \[[^\]]*\])?;/g)].map(([, type, field]) => ({ type, field })),
  ]))];
}));

test('every field of every message that it names is described, and no other', () => {
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    const [file, message] = name.split('.');
    assert.ok(proto[file]?.[message], name);
    assert.deepEqual(Object.keys(schema.properties).sort(), proto[file][message].map((f) => f.field).sort(), name);
  }
});

test('every frame of /ws/im is there, requests with their answers, events by themselves', () => {
  const fields = (frame) => proto.gateway[frame].map((f) => f.field).filter((field) => field !== 'id');
  const [client, server] = [fields('ClientFrame'), fields('ServerFrame')];
  assert.ok(client.length > 40 && server.length > client.length);
  for (const name of client) {
    const operation = document.operations[`im_${name}_request`];
    assert.equal(operation.action, 'receive', name);
    assert.deepEqual(operation.reply.messages.map((m) => m.$ref.split('/').pop()), [`im_${name}_answer`, 'im_error_answer'], name);
    assert.deepEqual(deref(operation.messages[0]).payload.required, [name]);
    assert.ok(server.includes(name), name);
  }
  for (const name of server.filter((field) => !client.includes(field) && field !== 'error'))
    assert.equal(document.operations[`im_${name}_event`].action, 'send', name);
  const expected = [...client.map((n) => `im_${n}_request`), ...server.map((n) => `im_${n}_${client.includes(n) || n === 'error' ? 'answer' : 'event'}`)];
  assert.deepEqual(Object.keys(document.channels.im.messages).sort(), expected.sort());
});

test('every frame of /ws/signaling is there', () => {
  const frames = Object.keys(proto.signaling).filter((name) => name.endsWith('Frame'));
  assert.deepEqual(Object.keys(document.channels.signaling.messages).sort(),
    frames.map((name) => `signaling_${name}_${name === 'ClientFrame' ? 'request' : 'event'}`).sort());
});

// As far as these schemas go: types, properties, lists.
function mustFit(value, schema, where) {
  const shape = deref(schema);
  if (shape.enum) assert.ok(shape.enum.includes(value), `${where}: ${value}`);
  if (shape.type === 'array') {
    assert.ok(Array.isArray(value), where);
    for (const item of value) mustFit(item, shape.items, `${where}[]`);
  } else if (shape.type === 'object') {
    for (const [key, child] of Object.entries(value)) {
      assert.ok(shape.properties[key], `${where}.${key} is not described`);
      mustFit(child, shape.properties[key], `${where}.${key}`);
    }
  } else if (shape.type === 'string') {
    assert.equal(typeof value, 'string', where);
  } else if (shape.type === 'boolean') {
    assert.equal(typeof value, 'boolean', where);
  }
}

test('the server shows the same, and says what it describes', async () => {
  const server = await startServer();
  assert.deepEqual(await (await fetch(`${server.url}/asyncapi.json`)).json(), document);
  const ann = await server.register('ann');
  const device = await Talker.open(server, ann);
  const seen = [];
  device.socket.on('message', (data) => seen.push(JSON.parse(data.toString())));
  const group = ok(await ann.post('/api/v1/groups', { kind: 'group', title: 'Described' }), 201);
  await device.say(group.id, 'hello');
  await device.ok('react', { id: group.id, seq: 1, emoji: '👍' });
  await device.ok('get_message_history', { id: group.id });
  await device.ok('get_conversations', {});
  await device.ok('sync', { cursor: '' });
  await device.refused('get_conversation', { id: 'none' }, 'not_found');
  await device.ok('ping', {});
  for (const frame of seen) {
    const [name] = Object.keys(frame).filter((key) => key !== 'id');
    const kind = frame.id === undefined ? 'event' : 'answer';
    const message = document.components.messages[`im_${name}_${kind}`];
    assert.ok(message, `${name} ${kind}`);
    mustFit(frame, message.payload, name);
  }
  assert.ok(seen.length >= 8, `${seen.length}`);
  await device.close();
  await server.stop();
});
