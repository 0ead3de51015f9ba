// Pictures and files in a bucket: what one process took another one shows, whole and in ranges; uploads that stop go on; a
// bucket that is away is an answer, not an end.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { eventuallyOk, ok } from '../check.mjs';
import { startServer, servicePorts } from '../server.mjs';
import * as tus from '../tus.mjs';

async function tryService(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    return problem.message;
  }
}

const s3 = await tryService('s3');
const postgres = await tryService('postgres');
const missing = [s3, postgres].find((one) => typeof one === 'string') ?? false;

describe('blobs in a bucket', { skip: missing }, () => {
  const servers = [];
  let one, two, ann;

  before(async () => {
    const env = {
      PARLANCE_STORE_DRIVER: 'postgres', PARLANCE_STORE_URL: postgres.url,
      PARLANCE_BLOB_DRIVER: 's3', PARLANCE_BLOB_ENDPOINT: s3.endpoint, PARLANCE_BLOB_BUCKET: s3.bucket,
      PARLANCE_BLOB_PREFIX: 'flow/', PARLANCE_BLOB_ACCESS_KEY: s3.accessKey, PARLANCE_BLOB_SECRET_KEY: s3.secretKey,
      JWT_SECRET: 'a secret that only these tests know, long enough',
      // Two that could not call one another would not share a database of messages.
      CLUSTER_SECRET: 'a secret of these two, which is long enough', PARLANCE_GRPC_ENABLED: 'true', PARLANCE_GRPC_HOST: '127.0.0.1',
      ...servicePorts('GRPC', ['auth', 'user', 'meeting', 'presence', 'message', 'signaling', 'media', 'file', 'task']),
    };
    for (let i = 0; i < 2; i++) servers.push(await startServer({ env }));
    [one, two] = servers;
    ann = await one.register('ann');
  });

  after(async () => {
    for (const server of servers) await server.stop({ areErrorsExpected: true });
    await postgres.stop?.();
    await s3.stop?.();
  });

  const there = () => Object.assign(two.client(), { token: ann.token });
  const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');

  const download = (client, id, headers) => tus.fetchBytes(client, `/api/v1/files/${id}`, headers);
  async function upload(bytes, name) {
    const id = await tus.upload(ann, bytes, { name });
    await eventuallyOk(async () => assert.equal((await tus.info(ann, id)).state, 'ready'));
    return { id };
  }

  test('a file that one process took, another one sends', async () => {
    const bytes = randomBytes(9_500_000); // more than one request of the bucket
    const file = await upload(bytes, 'big.bin');
    const whole = await download(there(), file.id);
    assert.equal(whole.status, 200);
    assert.equal(sum(whole.bytes), sum(bytes));
    const part = await download(there(), file.id, { range: 'bytes=8388600-8388700' });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('content-range'), `bytes 8388600-8388700/${bytes.length}`);
    assert.deepEqual(part.bytes, bytes.subarray(8388600, 8388701));
    const beyond = await download(there(), file.id, { range: 'bytes=99000000-' });
    assert.equal(beyond.status, 416);
    const known = await download(there(), file.id, { 'if-none-match': whole.headers.get('etag') });
    assert.equal(known.status, 304);
  });

  test('a bucket that is away for a moment is waited for, for longer it is said', async () => {
    const file = await upload(Buffer.from('a few words'), 'words.txt');
    await s3.faults({ fail: 2, status: 503 });
    assert.equal((await download(there(), file.id)).bytes.toString(), 'a few words');
    await s3.faults({ fail: 1000, status: 503 });
    assert.equal((await download(there(), file.id)).status, 503);
    assert.equal((await there().get('/health')).status, 200);
    await s3.faults({});
    assert.equal((await download(there(), file.id)).status, 200);
  });

  test('a picture of an account', async () => {
    const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
    const put = await ann.ask('PUT', '/api/v1/users/me/avatar', { raw: png, body: '', headers: { 'content-type': 'image/png' } });
    assert.ok(put.status < 300, put.text);
    const me = ok(await there().get('/api/v1/users/me'));
    await eventuallyOk(async () => assert.equal((await fetch(two.url + me.avatar_url)).status, 200));
  });
});
