// Bytes from people who mean harm: at the WebSocket and at the media port. Meanwhile a meeting goes on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { ok } from './check.mjs';
import { publishOffer } from './offer.mjs';
import { lines, send } from './raw.mjs';
import { metricsOf, startServer } from './server.mjs';
import { Signaler } from './signaler.mjs';

let server;
let alice;
let meeting;
let wire;
let mediaPort;

before(async () => {
  server = await startServer({ env: { PARLANCE_MEDIA_HOST: '127.0.0.1' } });
  alice = await server.register('alice');
  meeting = ok(await alice.post('/api/v1/meetings', { title: 'Undisturbed' }), 201);
  ok(await alice.post(`/api/v1/meetings/${meeting.id}/join`));
  wire = await Signaler.open(server, alice);
  await wire.join(meeting);
  const answer = await wire.ask('offer', { sdp: publishOffer(), tracks: [] });
  mediaPort = Number(answer.sdp.match(/^a=candidate:.* 127\.0\.0\.1 (\d+) typ host/m)[1]); // of the node that has the meeting
});
after(async () => {
  wire?.close();
  await server?.stop();
});

const goesOn = async () => {
  assert.equal((await wire.ask('ping')).type, 'pong');
  assert.equal((await wire.ask('offer', { sdp: publishOffer(), tracks: [] })).type, 'answer');
};

describe('frames of a WebSocket that are none', () => {
  const frame = ({ first = 0x81, length, mask = true, payload = Buffer.from('{"type":"ping"}') }) => {
    const declared = length ?? [payload.length];
    const key = randomBytes(4);
    const masked = mask ? Buffer.from(payload.map((byte, i) => byte ^ key[i % 4])) : payload;
    return Buffer.concat([Buffer.from([first, declared[0] | (mask ? 0x80 : 0), ...declared.slice(1)]), mask ? key : Buffer.alloc(0), masked]);
  };
  const nothing = Buffer.alloc(0);
  const cases = {
    'not masked': [frame({ mask: false }), 1002],
    'a reserved bit': [frame({ first: 0xa1 }), 1002],
    'deflated though nobody agreed': [frame({ first: 0xc1 }), 1002],
    'an unknown opcode': [frame({ first: 0x83 }), 1002],
    'an unknown control opcode': [frame({ first: 0x8b, payload: nothing }), 1002],
    'a control frame in pieces': [frame({ first: 0x09, payload: nothing }), 1002],
    'a control frame that is too long': [frame({ first: 0x89, length: [126, 0, 126], payload: Buffer.alloc(126) }), 1002],
    'the middle without a beginning': [frame({ first: 0x80 }), 1002],
    'a beginning within a message': [Buffer.concat([frame({ first: 0x01 }), frame({ first: 0x81 })]), 1002],
    'a close of one byte': [frame({ first: 0x88, payload: Buffer.from([3]) }), 1002],
    'a close with a code that is none': [frame({ first: 0x88, payload: Buffer.from([3, 237]) }), 1002],
    'a close with a reason that is no UTF-8': [frame({ first: 0x88, payload: Buffer.from([3, 232, 0xff]) }), 1007],
    'a length past all bounds': [frame({ length: [127, 0x7f, 255, 255, 255, 255, 255, 255, 255] }), 1009],
    'a length with its sign bit': [frame({ length: [127, 0x80, 0, 0, 0, 0, 0, 0, 0] }), null],
    'text that is no UTF-8': [frame({ payload: Buffer.from([0xc3, 0x28]) }), 1007],
    'too much in many pieces': [Buffer.concat([frame({ first: 0x01, length: [126, 0xff, 0xff], payload: Buffer.alloc(65535, 0x20) }),
      ...Array.from({ length: 9 }, () => frame({ first: 0x00, length: [126, 0xff, 0xff], payload: Buffer.alloc(65535, 0x20) }))]), 1009],
  };
  for (const [name, [bytes, code]] of Object.entries(cases)) {
    test(name, async () => {
      const socket = net.connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      let got = Buffer.alloc(0);
      const closed = new Promise((resolve) => { socket.on('data', (d) => { got = Buffer.concat([got, d]); }).on('close', resolve).on('end', resolve); });
      socket.write(lines('GET /ws/signaling HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, `Authorization: Bearer ${alice.token}`));
      while (!got.includes('\r\n\r\n')) await new Promise((resolve) => { socket.once('data', resolve); });
      assert.match(got.toString('latin1'), /^HTTP\/1\.1 101 /);
      got = got.subarray(got.indexOf('\r\n\r\n') + 4);
      socket.write(bytes);
      let timer;
      await Promise.race([closed, new Promise((resolve) => { timer = setTimeout(resolve, 8000); })]);
      clearTimeout(timer);
      socket.destroy();
      const at = got.findIndex((byte, i) => byte === 0x88 && got[i + 1] >= 2 && got[i + 1] < 126);
      assert.ok(at >= 0, `a close frame in ${got.toString('hex').slice(0, 100)}`);
      const said = got.readUInt16BE(at + 2);
      if (code) assert.equal(said, code);
      else assert.ok([1002, 1009].includes(said), `${said}`);
      await goesOn();
    });
  }

  test('handshakes that are none', async () => {
    const head = ['GET /ws/signaling HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade'];
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    const bad = {
      'no key': [...head, 'Sec-WebSocket-Version: 13'], 'a short key': [...head, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: eA=='],
      'no version': [...head, key], 'an old version': [...head, key, 'Sec-WebSocket-Version: 8'],
      'a POST': ['POST /ws/signaling HTTP/1.1', ...head.slice(1), key, 'Sec-WebSocket-Version: 13', 'Content-Length: 0'],
      'elsewhere': ['GET /ws/nowhere HTTP/1.1', ...head.slice(1), key, 'Sec-WebSocket-Version: 13'],
      'HTTP/1.0': ['GET /ws/signaling HTTP/1.0', ...head.slice(1), key, 'Sec-WebSocket-Version: 13'],
    };
    for (const [name, text] of Object.entries(bad)) {
      const [answer] = await send(server, lines(...text), { expect: 1 });
      assert.ok(answer && answer.status >= 400 && answer.status < 500, `${name}: ${answer?.status}`);
      assert.ok(answer.body?.error?.code && answer.body.error.request_id, name);
    }
  });
});

describe('datagrams from nowhere', () => {
  const cookie = Buffer.from([0x21, 0x12, 0xa4, 0x42]);
  const attribute = (type, value) => {
    const padded = Buffer.alloc((value.length + 3) & ~3);
    value.copy(padded);
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(value.length, 2);
    return Buffer.concat([head, padded]);
  };
  const stun = (type, body = Buffer.alloc(0), length = body.length) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(length & 0xffff, 2);
    return Buffer.concat([head, cookie, randomBytes(12), body]);
  };
  const clientHello = Buffer.concat([Buffer.from('16feff000000000000000000360100002a000000000000002afefd', 'hex'), randomBytes(32), Buffer.from('00000002c02f0100', 'hex')]);

  test('nothing is answered to who has shown no password, and nothing is kept', async () => {
    const gauges = async () => (await metricsOf(server)).flatMap((text) => text.match(/^parlance_(?:sfu_peers|media_sessions|media_rooms)[^\n]*$/gm) ?? []);
    const before = await gauges();
    assert.ok(before.length);
    const socket = dgram.createSocket('udp4');
    let answers = 0;
    socket.on('message', () => { answers += 1; });
    const say = (bytes) => new Promise((resolve) => { socket.send(bytes, mediaPort, '127.0.0.1', resolve); });
    const whole = stun(0x0001, Buffer.concat([attribute(0x0006, Buffer.from('nobody:nowhere')), attribute(0x0024, Buffer.alloc(4)),
      attribute(0x0008, randomBytes(20)), attribute(0x8028, randomBytes(4))]));
    const seeds = [
      Buffer.alloc(0), Buffer.alloc(1), randomBytes(1), randomBytes(1400), Buffer.alloc(60_000, 0x80), stun(0x0001), stun(0x0101), stun(0x0003), stun(0x0001, Buffer.alloc(0), 0xffff),
      stun(0x0001, attribute(0x0006, Buffer.alloc(0))), stun(0x0001, Buffer.from([0, 6, 255, 255])), whole, clientHello,
      Buffer.concat([Buffer.from([0x80, 0x6f]), randomBytes(60)]), Buffer.concat([Buffer.from([0x81, 0xc9, 0, 7]), randomBytes(28)]),
    ];
    for (const seed of seeds) await say(seed);
    for (let i = 0; i < whole.length; i++) await say(whole.subarray(0, i));
    for (let i = 0; i < clientHello.length; i++) await say(clientHello.subarray(0, i));
    for (let i = 0; i < 3000; i++) {
      const bytes = Buffer.from(seeds[i % seeds.length].subarray(0, 1400));
      if (bytes.length) bytes[i % bytes.length] ^= 1 << (i % 8);
      await say(bytes);
    }
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    socket.close();
    assert.equal(answers, 0);
    assert.deepEqual(await gauges(), before);
    await goesOn();
  });
});
