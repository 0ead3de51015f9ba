// Files: uploads by tus 1.0 that lose nothing and believe nothing, what a file really is, messages that refer to files, and who
// may read them for how long.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { ok, refused } from './check.mjs';
import { eventually, makeDataDir, startServer } from './server.mjs';
import { begin, bodyType, drop, fetchBytes, head, info, metadata, offsetOf, put, putPart, upload, version } from './tus.mjs';

const samples = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'unit', 'convert', 'samples');
const sample = (name) => readFileSync(path.join(samples, name));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const MAX = 8 << 20;

let server;
let alice;
let bob;
let carol;

before(async () => {
  server = await startServer({ env: { PARLANCE_FILES_MAX_BYTES: String(MAX), PARLANCE_FILES_QUOTA_BYTES: String(64 << 20) } });
  alice = await server.register('alice');
  bob = await server.register('bob');
  carol = await server.register('carol');
});
after(() => server?.stop());

let count = 0;
const send = (client, request) => client.post('/api/v1/messages', { client_msg_id: `f${count += 1}`, ...request });
const sendFile = async (client, to, fileId, kind = 'file') =>
  ok(await send(client, { to_user_id: to.user.id, content: { kind, attachments: [{ file_id: fileId }] } }));
const lastMessage = async (client, id) => ok(await client.get(`/api/v1/conversations/${id}/messages?limit=1`)).messages[0];

// A picture of so many pixels in a few kilobytes: black costs nothing, packed.
function bomb(side) {
  const crcTable = Array.from({ length: 256 }, (_, n) => { let c = n; for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1; return c >>> 0; });
  const crc = (bytes) => { let c = 0xffffffff; for (const b of bytes) c = crcTable[(c ^ b) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; };
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([1, 0, 0, 0, 0], 8); // one bit a pixel
  const row = Buffer.alloc(Math.ceil(side / 8) + 1);
  const data = zlib.deflateSync(Buffer.alloc(row.length * 2000));
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

describe('uploads', () => {
  test('the server says what it can', async () => {
    const reply = await server.client().ask('OPTIONS', '/api/v1/files/uploads');
    assert.equal(reply.status, 204);
    assert.equal(reply.headers.get('tus-version'), '1.0.0');
    assert.equal(reply.headers.get('tus-max-size'), String(MAX));
    assert.deepEqual(reply.headers.get('tus-extension').split(',').sort(), ['checksum', 'creation', 'creation-with-upload', 'expiration', 'termination']);
    assert.match(reply.headers.get('tus-checksum-algorithm'), /sha1/);
    const preflight = await fetch(`${server.url}/api/v1/files/uploads`, { method: 'OPTIONS', headers: { origin: server.url, 'access-control-request-method': 'POST' } });
    assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /Upload-Length/);
    assert.match(preflight.headers.get('access-control-expose-headers') ?? '', /Upload-Offset/);
  });

  test('in pieces, and the file is what was sent', async () => {
    const bytes = randomBytes(3_000_000);
    const { reply, id, location } = await begin(alice, bytes.length, { name: 'Bücher ü.bin' });
    assert.equal(reply.headers.get('tus-resumable'), '1.0.0');
    assert.equal(location, `/api/v1/files/uploads/${id}`);
    assert.ok(Date.parse(reply.headers.get('upload-expires')) > Date.now());
    const sizes = [1, 1_048_575, 1_900_000, 51_424];
    let at = 0;
    for (const size of sizes) {
      const answer = await put(alice, id, at, bytes.subarray(at, at + size));
      assert.equal(answer.status, 204, answer.text);
      at += size;
      assert.equal(answer.headers.get('upload-offset'), String(at));
      assert.equal(await offsetOf(alice, id), at);
    }
    const said = await head(alice, id);
    assert.equal(said.headers.get('upload-length'), String(bytes.length));
    assert.equal(said.headers.get('upload-metadata'), metadata({ name: 'Bücher ü.bin' }));
    assert.equal(said.headers.get('cache-control'), 'no-store');
    const file = await info(alice, id);
    assert.deepEqual([file.state, file.name, file.kind, file.size, file.sha256], ['ready', 'Bücher ü.bin', 'data', bytes.length, sha256(bytes)]);
    const back = await fetchBytes(alice, `/api/v1/files/${id}`);
    assert.equal(sha256(back.bytes), sha256(bytes));
    assert.match(back.headers.get('content-disposition'), /^attachment; filename="B__cher __\.bin"; filename\*=UTF-8''B%C3%BCcher%20%C3%BC\.bin$/);
  });

  test('with the creation: nothing, a part, all, and an empty file', async () => {
    const bytes = randomBytes(2_500_000);
    const whole = await begin(alice, bytes.length, { raw: bytes });
    assert.equal(whole.reply.status, 201, whole.reply.text);
    assert.equal(whole.reply.headers.get('upload-offset'), String(bytes.length));
    assert.equal((await info(alice, whole.id)).sha256, sha256(bytes));
    const part = await begin(alice, bytes.length, { raw: bytes.subarray(0, 1_500_000) });
    assert.equal(part.reply.headers.get('upload-offset'), '1500000');
    ok(await put(alice, part.id, 1_500_000, bytes.subarray(1_500_000)), 204);
    assert.equal((await info(alice, part.id)).sha256, sha256(bytes));
    const empty = await begin(alice, 0);
    assert.equal(empty.reply.status, 201);
    const file = await info(alice, empty.id);
    assert.deepEqual([file.state, file.size, file.sha256], ['ready', 0, sha256('')]);
    assert.equal((await fetchBytes(alice, `/api/v1/files/${empty.id}`)).bytes.length, 0);
  });

  test('with checksums: a body counts as a whole or not at all', async () => {
    const bytes = randomBytes(2_200_000);
    const sum = (algorithm, of) => ({ 'upload-checksum': `${algorithm} ${createHash(algorithm).update(of).digest('base64')}` });
    const { id } = await begin(alice, bytes.length);
    const wrong = await put(alice, id, 0, bytes.subarray(0, 2_000_000), sum('sha256', 'something else'));
    assert.equal(wrong.status, 460);
    assert.equal(wrong.headers.get('tus-resumable'), '1.0.0');
    assert.equal(await offsetOf(alice, id), 0);
    ok(await put(alice, id, 0, bytes.subarray(0, 2_000_000), sum('sha256', bytes.subarray(0, 2_000_000))), 204);
    ok(await put(alice, id, 2_000_000, bytes.subarray(2_000_000), sum('sha1', bytes.subarray(2_000_000))), 204);
    assert.equal((await info(alice, id)).sha256, sha256(bytes));
    const odd = await begin(alice, 3);
    for (const bad of ['md5 AAAA', 'sha1', 'sha1 !!', ''])
      assert.equal((await put(alice, odd.id, 0, Buffer.from('abc'), { 'upload-checksum': bad || 'x' })).status, 400, bad);
    assert.equal(await offsetOf(alice, odd.id), 0);
  });

  test('what does not match is refused, and changes nothing', async () => {
    const { id } = await begin(alice, 10);
    ok(await put(alice, id, 0, Buffer.from('01234')), 204);
    const wrong = [
      ['an offset behind', () => put(alice, id, 0, Buffer.from('01234')), 409],
      ['an offset ahead', () => put(alice, id, 6, Buffer.from('6789')), 409],
      ['an offset that is none', () => put(alice, id, 'x', Buffer.from('5')), 400],
      ['a negative offset', () => put(alice, id, -5, Buffer.from('5')), 400],
      ['an immense offset', () => put(alice, id, '9223372036854775807', Buffer.from('5')), 409],
      ['no offset', () => alice.ask('PATCH', `/api/v1/files/uploads/${id}`, { raw: Buffer.from('5'), headers: { ...version, ...bodyType } }), 400],
      ['the offset in the query', () => alice.ask('PATCH', `/api/v1/files/uploads/${id}?offset=5`, { raw: Buffer.from('5'), headers: { ...version, ...bodyType } }), 400],
      ['more than was said', () => put(alice, id, 5, Buffer.from('567890')), 413],
      ['another version', () => put(alice, id, 5, Buffer.from('5'), { 'tus-resumable': '0.2.2' }), 412],
      ['no version', () => put(alice, id, 5, Buffer.from('5'), { 'tus-resumable': '' }), 412],
      ['another type of body', () => put(alice, id, 5, Buffer.from('5'), { 'content-type': 'application/octet-stream' }), 415],
      ['somebody else', () => put(bob, id, 5, Buffer.from('56789')), 404],
      ['nobody', () => put(server.client(), id, 5, Buffer.from('56789')), 401],
      ['no such upload', () => put(alice, `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`, 5, Buffer.from('5')), 404],
      ['no id', () => put(alice, 'x', 5, Buffer.from('5')), 404],
    ];
    for (const [what, ask, status] of wrong) {
      const reply = await ask();
      assert.equal(reply.status, status, `${what}: ${reply.text}`);
      assert.ok(reply.body?.error.message, what);
    }
    assert.equal((await head(bob, id)).status, 404);
    assert.equal((await head(alice, id, { 'tus-resumable': '2.0.0' })).status, 412);
    assert.equal(await offsetOf(alice, id), 5);
    ok(await put(alice, id, 5, Buffer.from('56789')), 204);
    assert.equal((await info(alice, id)).sha256, sha256('0123456789'));
    // Once it is whole the same end again is no news, and there is no more.
    ok(await put(alice, id, 10, Buffer.alloc(0)), 204);
    assert.equal((await put(alice, id, 10, Buffer.from('x'))).status, 413);
    assert.equal((await put(alice, id, 9, Buffer.from('9'))).status, 409);
  });

  test('lies and nonsense at the creation', async () => {
    const post = (headers, raw) => alice.ask('POST', '/api/v1/files/uploads', { headers: { ...version, ...headers }, raw });
    assert.equal((await post({ 'upload-length': String(MAX + 1) })).status, 413);
    assert.equal((await post({ 'upload-length': '99999999999999999999' })).status, 400);
    for (const headers of [{}, { 'upload-length': '-1' }, { 'upload-length': '1.5' }, { 'upload-length': 'x' }, { 'upload-defer-length': '1' }])
      assert.equal((await post(headers)).status, 400, JSON.stringify(headers));
    for (const bad of ['filename', ',', 'filename !', `filename ${Buffer.from('a\nb').toString('base64')}`, `filename ${Buffer.from([0xff]).toString('base64')}`,
      `filename ${Buffer.from('\u202Egpj.exe').toString('base64')}`, ` ${'a'.repeat(5000)}`, `filename ${Buffer.from('a'.repeat(300)).toString('base64')}`]) {
      const reply = await post({ 'upload-length': '1', 'upload-metadata': bad });
      const isEmptyName = bad === 'filename'; // a key without a value is an empty value
      assert.equal(reply.status, isEmptyName ? 201 : 400, `${bad}: ${reply.text}`);
    }
    const named = await begin(alice, 0, { name: '../../etc/passwd' });
    assert.equal((await info(alice, named.id)).name, 'passwd');
    assert.equal((await post({ 'upload-length': '1' }, Buffer.from('x'))).status, 415);
    assert.equal((await post({ 'upload-length': '1', ...bodyType }, Buffer.from('xy'))).status, 413);
  });

  test('what is given up is gone', async () => {
    const { id } = await begin(alice, 100, { raw: Buffer.alloc(50) });
    assert.equal((await drop(bob, id)).status, 404);
    assert.equal((await drop(alice, id)).status, 204);
    assert.equal((await head(alice, id)).status, 404);
    assert.equal((await drop(alice, id)).status, 404);
    assert.equal((await put(alice, id, 50, Buffer.alloc(50))).status, 404);
  });

  test('two at once, and two writers of one', async () => {
    const one = randomBytes(2_000_000);
    const two = randomBytes(2_000_000);
    const ids = await Promise.all([upload(alice, one), upload(alice, two), upload(bob, two)]);
    assert.equal((await info(alice, ids[0])).sha256, sha256(one));
    assert.equal((await info(alice, ids[1])).sha256, sha256(two));
    assert.equal((await info(bob, ids[2])).sha256, sha256(two));
    const { id } = await begin(alice, two.length);
    const slow = putPart(alice, id, 0, { length: two.length, sent: two.subarray(0, 1_100_000) });
    await eventually(async () => await offsetOf(alice, id) === 1 << 20); // one part of it has come
    const other = await put(alice, id, 1 << 20, two.subarray(1 << 20));
    assert.equal(other.status, 423, other.text);
    refused(other, 'unavailable', /Another request/, 423);
    slow.request.destroy();
    // What had come of the next part counts too, and the way is free.
    await eventually(async () => await offsetOf(alice, id) === 1_100_000);
    ok(await put(alice, id, 1_100_000, two.subarray(1_100_000)), 204);
    assert.equal((await info(alice, id)).sha256, sha256(two));
  });

  test('half a body with a checksum does not count', async () => {
    const bytes = randomBytes(1_500_000);
    const { id } = await begin(alice, bytes.length);
    const checksum = { 'upload-checksum': `sha256 ${createHash('sha256').update(bytes).digest('base64')}` };
    const cut = putPart(alice, id, 0, { length: bytes.length, sent: bytes.subarray(0, 1_400_000), headers: checksum });
    await new Promise((resolve) => { setTimeout(resolve, 150); });
    cut.request.destroy();
    await eventually(async () => (await put(alice, id, 0, Buffer.alloc(0))).status === 204);
    assert.equal(await offsetOf(alice, id), 0);
    ok(await put(alice, id, 0, bytes, checksum), 204);
    assert.equal((await info(alice, id)).sha256, sha256(bytes));
  });

  test('a quota, and a number of unfinished uploads', async () => {
    const dave = await server.register('dave');
    const begun = [];
    for (let i = 0; i < 8; i += 1) begun.push((await begin(dave, MAX)).id); // 64 MiB in all
    const more = await begin(dave, 1);
    assert.equal(more.reply.status, 413, more.reply.text);
    refused(more.reply, 'resource_exhausted', /room/, 413);
    assert.equal(ok(await dave.get('/api/v1/files')).used_bytes, 64 << 20);
    for (const id of begun) await drop(dave, id);
    assert.equal(ok(await dave.get('/api/v1/files')).used_bytes, 0);
    for (let i = 0; i < 64; i += 1) assert.equal((await begin(dave, 10)).reply.status, 201);
    assert.equal((await begin(dave, 10)).reply.status, 429);
    assert.ok(await upload(alice, Buffer.from('others go on')));
  });
});

describe('a server that is killed', () => {
  test('keeps what it acknowledged, and the upload goes on', async () => {
    const dataDir = makeDataDir();
    const bytes = randomBytes(4_000_000);
    let own = await startServer({ dataDir });
    const erin = await own.register('erin');
    const { id } = await begin(erin, bytes.length, { name: 'big.bin' });
    let acknowledged = 0;
    for (let round = 0; round < 4; round += 1) {
      const part = await put(erin, id, acknowledged, bytes.subarray(acknowledged, acknowledged + 300_000 * (round + 1)));
      acknowledged = Number(part.headers.get('upload-offset'));
      if (round === 3) break;
      putPart(erin, id, acknowledged, { length: 500_000, sent: bytes.subarray(acknowledged, acknowledged + 123_456) });
      await new Promise((resolve) => { setTimeout(resolve, 30 * round); });
      await own.stop({ signal: 'SIGKILL', keepData: true });
      own = await startServer({ dataDir });
      erin.base = own.url;
      const at = await offsetOf(erin, id);
      assert.ok(at >= acknowledged, `${at} of ${acknowledged}`);
      acknowledged = at;
    }
    ok(await put(erin, id, acknowledged, bytes.subarray(acknowledged)), 204);
    assert.equal((await info(erin, id)).sha256, sha256(bytes));
    // Killed at the very end: what was whole is a file.
    const last = await begin(erin, bytes.length);
    const ending = put(erin, last.id, 0, bytes).catch(() => null);
    await new Promise((resolve) => { setTimeout(resolve, 25); });
    await own.stop({ signal: 'SIGKILL', keepData: true });
    await ending;
    own = await startServer({ dataDir });
    erin.base = own.url;
    const at = await offsetOf(erin, last.id);
    if (at < bytes.length) ok(await put(erin, last.id, at, bytes.subarray(at)), 204);
    await eventually(async () => (await info(erin, last.id)).state === 'ready');
    assert.equal((await info(erin, last.id)).sha256, sha256(bytes));
    assert.equal(ok(await erin.get('/api/v1/files')).used_bytes, 2 * bytes.length);
    own.isOwnDir = true;
    await own.stop();
  });
});

describe('what a file is', () => {
  test('pictures, sound and film by their bytes', async () => {
    const expected = [
      ['plain.png', 'image/png', 'image', 'image/png'], ['plain.jpg', 'image/jpeg', 'image', 'image/jpeg'],
      ['plain.webp', undefined, 'image', 'image/webp'], ['voice.ogg', 'audio/ogg', 'audio', 'audio/ogg'],
      ['voice-live.webm', 'audio/webm;codecs=opus', 'audio', 'audio/webm'], ['film.mp4', 'video/mp4', 'video', 'video/mp4'],
      ['plain.png', 'application/pdf', 'image', 'image/png'], // shown as what it is, not as what was said
    ];
    for (const [name, claimed, kind, type] of expected) {
      const id = await upload(alice, sample(name), { name, type: claimed });
      const file = await info(alice, id);
      assert.deepEqual([file.state, file.kind, file.content_type], ['ready', kind, type], name);
      if (kind === 'image' || kind === 'video') {
        assert.ok(file.width > 0 && file.height > 0 && file.has_thumbnail, name);
        const small = await fetchBytes(alice, `/api/v1/files/${id}/thumbnail`);
        assert.equal(small.headers.get('content-type'), 'image/webp');
        assert.equal(small.bytes.subarray(8, 12).toString(), 'WEBP');
      }
      if (kind !== 'image') assert.ok(file.duration_ms > 0, name);
      if (kind === 'audio') assert.ok(Buffer.from(file.waveform, 'base64').length > 0, name);
      const back = await fetchBytes(alice, `/api/v1/files/${id}`);
      assert.equal(back.headers.get('content-type'), type);
      assert.match(back.headers.get('content-disposition'), /^inline/);
      assert.equal(sha256(back.bytes), sha256(sample(name)));
    }
  });

  test('who lies about a picture is refused, and what it was is gone', async () => {
    const page = Buffer.from('<!doctype html><script>alert(1)</script>');
    const cut = sample('plain.png').subarray(0, 60);
    const before = ok(await alice.get('/api/v1/files')).used_bytes;
    for (const [bytes, type] of [[page, 'image/png'], [bomb(60_000), 'image/png'], [bomb(20_000), 'image/png'], [cut, 'image/png'],
      [randomBytes(5000), 'video/mp4'], [sample('plain.png'), 'audio/mpeg'], [sample('film.mp4'), 'image/jpeg']]) {
      const { id } = await begin(alice, bytes.length, { type });
      const reply = await put(alice, id, 0, bytes);
      assert.equal(reply.status, 415, `${type}: ${reply.text}`);
      const file = await info(alice, id);
      assert.equal(file.state, 'refused');
      assert.match(file.problem, /not the/);
      assert.equal((await alice.get(`/api/v1/files/${id}`)).status, 404);
      assert.equal((await head(alice, id)).status, 410);
      refused(await send(alice, { to_user_id: bob.user.id, content: { kind: 'file', attachments: [{ file_id: id }] } }), 'failed_precondition');
    }
    assert.equal(ok(await alice.get('/api/v1/files')).used_bytes, before);
  });

  test('without the lie it is a download that no browser runs', async () => {
    const page = Buffer.from('<!doctype html><script>alert(1)</script>');
    const drawing = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>');
    for (const [bytes, type] of [[page, 'text/html'], [page, undefined], [drawing, 'image/svg+xml'], [bomb(60_000), undefined],
      [sample('plain.png').subarray(0, 60), 'application/octet-stream']]) {
      const id = await upload(alice, bytes, { name: 'x.html', type });
      assert.deepEqual([(await info(alice, id)).kind, (await info(alice, id)).has_thumbnail], ['data', false], type);
      const back = await fetchBytes(alice, `/api/v1/files/${id}`);
      assert.equal(back.headers.get('content-type'), 'application/octet-stream');
      assert.match(back.headers.get('content-disposition'), /^attachment/);
      assert.equal(back.headers.get('x-content-type-options'), 'nosniff');
      assert.match(back.headers.get('content-security-policy'), /sandbox/);
    }
  });
});

describe('downloads', () => {
  test('ranges and conditions', async () => {
    const bytes = randomBytes(1_200_000);
    const id = await upload(alice, bytes);
    const target = `/api/v1/files/${id}`;
    const all = await fetchBytes(alice, target);
    const etag = all.headers.get('etag');
    assert.equal(all.headers.get('accept-ranges'), 'bytes');
    assert.equal(all.headers.get('cache-control'), 'private, no-cache');
    for (const [range, from, to] of [['bytes=0-0', 0, 1], ['bytes=100-1099', 100, 1100], ['bytes=1199999-', 1_199_999, 1_200_000], ['bytes=-10', 1_199_990, 1_200_000]]) {
      const part = await fetchBytes(alice, target, { range });
      assert.equal(part.status, 206, range);
      assert.equal(part.headers.get('content-range'), `bytes ${from}-${to - 1}/1200000`);
      assert.deepEqual(part.bytes, bytes.subarray(from, to));
    }
    const beyond = await fetchBytes(alice, target, { range: 'bytes=1200000-' });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers.get('content-range'), 'bytes */1200000');
    assert.equal((await fetchBytes(alice, target, { range: 'bytes=0-1,5-6' })).bytes.length, bytes.length);
    assert.equal((await fetchBytes(alice, target, { range: 'bytes=0-9', 'if-range': etag })).status, 206);
    assert.equal((await fetchBytes(alice, target, { range: 'bytes=0-9', 'if-range': '"other"' })).status, 200);
    const same = await fetchBytes(alice, target, { 'if-none-match': etag });
    assert.equal(same.status, 304);
    assert.equal(same.bytes.length, 0);
    const looked = await alice.ask('HEAD', target, { headers: { range: 'bytes=0-9' } });
    assert.equal(looked.status, 200);
    assert.equal(looked.headers.get('content-length'), '1200000');
    for (const who of [bob, server.client()])
      assert.ok([401, 404].includes((await who.get(target)).status));
  });
});

describe('files in messages', () => {
  test('readers get what the server knows, whatever the sender says', async () => {
    const id = await upload(alice, sample('plain.png'), { name: 'a.png', type: 'image/png' });
    const content = { kind: 'image', text: 'look', attachments: [{ file_id: id, name: 'evil.exe', content_type: 'text/html', size: 1, width: 9999, height: 1, has_thumbnail: false }] };
    const sent = ok(await send(alice, { to_user_id: bob.user.id, content, client_msg_id: 'once' }));
    const { attachments: [seen] } = (await lastMessage(bob, sent.conversation_id)).content;
    const file = await info(alice, id);
    assert.deepEqual([seen.file_id, seen.name, seen.content_type, seen.size, seen.width, seen.height, seen.has_thumbnail],
      [id, 'a.png', 'image/png', file.size, file.width, file.height, true]);
    // The same again is the same message: what the sender made up does not tell them apart.
    const again = ok(await send(alice, { to_user_id: bob.user.id, content: { ...content, attachments: [{ file_id: id }] }, client_msg_id: 'once' }));
    assert.deepEqual([again.is_duplicate, again.seq], [true, sent.seq]);
    const back = await fetchBytes(bob, `/api/v1/conversations/${sent.conversation_id}/files/${id}`);
    assert.equal(sha256(back.bytes), file.sha256);
    assert.match(back.headers.get('content-disposition'), /^inline; filename="a.png"/);
    assert.equal((await fetchBytes(bob, `/api/v1/conversations/${sent.conversation_id}/files/${id}/thumbnail`)).headers.get('content-type'), 'image/webp');
    const voice = await upload(alice, sample('voice.ogg'), { type: 'audio/ogg' });
    await sendFile(alice, bob, voice, 'voice');
    const spoken = (await lastMessage(bob, sent.conversation_id)).content.attachments[0];
    assert.ok(spoken.duration_ms > 0 && Buffer.from(spoken.waveform, 'base64').length > 0);
  });

  test('only what is one\'s own and ready, and of the right kind', async () => {
    const data = await upload(alice, Buffer.from('text'));
    const begun = await begin(alice, 10);
    const to_user_id = bob.user.id;
    const attach = (client, kind, ...ids) => send(client, { to_user_id: client === bob ? alice.user.id : to_user_id, content: { kind, attachments: ids.map((file_id) => ({ file_id })) } });
    refused(await attach(bob, 'file', data), 'not_found');
    refused(await attach(alice, 'file', begun.id), 'failed_precondition');
    refused(await attach(alice, 'image', data), 'invalid_argument', /kind/);
    refused(await attach(alice, 'voice', data), 'invalid_argument', /kind/);
    refused(await attach(alice, 'file', 'nonsense'), 'invalid_argument');
    refused(await attach(alice, 'file', data, '01M7YXJA5EVVVV6G82012AS7TC'), 'not_found');
    refused(await attach(alice, 'file'), 'invalid_argument');
    refused(await attach(alice, 'file', ...Array(21).fill(data)), 'invalid_argument');
    ok(await attach(alice, 'file', data, data));
  });

  test('strangers read nothing; who is recalled, nothing any more', async () => {
    const id = await upload(alice, Buffer.from('between us'));
    const sent = await sendFile(alice, bob, id);
    const target = `/api/v1/conversations/${sent.conversation_id}/files/${id}`;
    assert.equal((await fetchBytes(bob, target)).bytes.toString(), 'between us');
    assert.equal((await fetchBytes(alice, target)).status, 200);
    refused(await carol.get(target), 'not_found');
    refused(await server.client().get(target), 'unauthenticated');
    refused(await carol.get(`/api/v1/files/${id}`), 'not_found');
    // Of another conversation of the same reader.
    const elsewhere = ok(await send(carol, { to_user_id: bob.user.id, content: { text: 'hi' } }));
    refused(await bob.get(`/api/v1/conversations/${elsewhere.conversation_id}/files/${id}`), 'not_found');
    refused(await alice.delete(`/api/v1/files/${id}`), 'failed_precondition');
    ok(await alice.delete(`/api/v1/conversations/${sent.conversation_id}/messages/${sent.seq}`));
    refused(await bob.get(target), 'not_found');
    refused(await alice.get(target), 'not_found');
    assert.equal((await fetchBytes(alice, `/api/v1/files/${id}`)).status, 200, 'its owner still has it');
    await eventually(async () => (await alice.delete(`/api/v1/files/${id}`)).status === 200);
    refused(await alice.get(`/api/v1/files/${id}`), 'not_found');
  });

  test('deleted for oneself, older than one\'s place, and forwarded', async () => {
    const id = await upload(alice, Buffer.from('in a group'));
    const group = ok(await alice.post('/api/v1/groups', { kind: 'group', title: 'G', user_ids: [bob.user.id] }), 201);
    const sent = ok(await send(alice, { conversation_id: group.id, content: { kind: 'file', attachments: [{ file_id: id }] } }));
    const target = `/api/v1/conversations/${group.id}/files/${id}`;
    assert.equal((await fetchBytes(bob, target)).status, 200);
    ok(await alice.post(`/api/v1/groups/${group.id}/members`, { user_ids: [carol.user.id] }));
    refused(await carol.get(target), 'not_found'); // she sees what came after her
    ok(await bob.post(`/api/v1/conversations/${group.id}/hidden`, { seqs: [sent.seq] }));
    refused(await bob.get(target), 'not_found');
    // Whoever may read it may send it on, and it stays when the first message is recalled.
    const forwarded = ok(await send(alice, { to_user_id: carol.user.id, forward_conversation_id: group.id, forward_seq: sent.seq }));
    ok(await alice.delete(`/api/v1/conversations/${group.id}/messages/${sent.seq}`));
    assert.equal((await fetchBytes(carol, `/api/v1/conversations/${forwarded.conversation_id}/files/${id}`)).bytes.toString(), 'in a group');
    refused(await alice.delete(`/api/v1/files/${id}`), 'failed_precondition');
  });

  test('a message for later keeps its files; who takes it back lets them go', async () => {
    const id = await upload(alice, Buffer.from('for later'));
    const later = ok(await send(alice, { to_user_id: bob.user.id, content: { kind: 'file', attachments: [{ file_id: id }] }, send_at_ms: Date.now() + 3600_000 }));
    await eventually(async () => { refused(await alice.delete(`/api/v1/files/${id}`), 'failed_precondition'); });
    ok(await alice.delete(`/api/v1/conversations/${later.conversation_id}/scheduled/${later.scheduled_id}`));
    await eventually(async () => (await alice.delete(`/api/v1/files/${id}`)).status === 200);
  });
});

test('nothing is left behind of what is gone', async () => {
  const files = () => readdirSync(path.join(server.dataDir, 'blobs'), { recursive: true }).filter((name) => /[0-9A-Z]{26}/.test(name));
  const frank = await server.register('frank');
  const before = files().length;
  const { id } = await begin(frank, 100, { raw: Buffer.alloc(60) });
  const picture = await upload(frank, sample('plain.png'));
  assert.equal(files().length, before + 3, 'a part, a picture, its small one');
  ok(await frank.delete(`/api/v1/files/${picture}`));
  await drop(frank, id);
  assert.equal(files().length, before);
  assert.deepEqual(ok(await frank.get('/api/v1/files')).files, []);
});
