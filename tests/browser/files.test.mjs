// Files in real pages: a picture, a document and a voice go from one to another; an upload that is cut goes on where it stood.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { chatter, Chatter } from './chatter.mjs';
import { scene, setUp } from './stage.mjs';

setUp();

const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');

function pngChunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(zlib.crc32 ? zlib.crc32(body) : crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

// A picture of these sizes, its colour going from left to right.
function png(width, height) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([Buffer.from([0]), ...Array.from({ length: width }, (_, x) => Buffer.from([Math.floor((255 * x) / width), 90, 160]))]);
  const pixels = zlib.deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), pngChunk('IHDR', head), pngChunk('IDAT', pixels), pngChunk('IEND', Buffer.alloc(0))]);
}

// The file's scenes share a server: names are a scene's own.
async function pair(stage, names, options = {}) {
  const [ada, bo] = [chatter(await stage.account(names[0], options)), chatter(await stage.account(names[1]))];
  await ada.open();
  await bo.open();
  await ada.begin(names[1]);
  await ada.say('Hello');
  await bo.choose(names[0]);
  await bo.sees('Hello');
  return [ada, bo];
}

const choose = (who, files) => who.page.locator('.composer input[type=file]').setInputFiles(files);

async function downloaded(who, name) {
  const [download] = await Promise.all([who.page.waitForEvent('download'), who.page.getByRole('button', { name: `Download ${name}` }).first().click()]);
  assert.equal(download.suggestedFilename(), name);
  return readFileSync(await download.path());
}

scene('a picture and a document, with words', async (stage) => {
  const [ada, bo] = await pair(stage, ['Ada', 'Bo']);
  const text = Buffer.from('line by line\n'.repeat(300));
  await choose(ada, [{ name: 'slope.png', mimeType: 'image/png', buffer: png(320, 200) }, { name: 'notes.txt', mimeType: 'text/plain', buffer: text }]);
  await ada.page.locator('.upload').nth(1).waitFor();
  await ada.say('From the slope');
  const picture = bo.page.locator('.picture');
  await picture.locator('img').waitFor();
  await bo.until(async () => assert.ok(await picture.locator('img').evaluate((img) => img.complete && img.naturalWidth > 0)));
  // Its size is known before its bytes: 320 by 200, drawn as it is.
  const box = await picture.boundingBox();
  assert.deepEqual([Math.round(box.width), Math.round(box.height)], [320, 200]);
  assert.match(await bo.page.locator('.msg', { has: picture }).innerText(), /From the slope/);
  await picture.click();
  const viewer = bo.page.locator('.viewer');
  await viewer.locator('img').waitFor();
  await bo.page.keyboard.press('+');
  assert.match(await viewer.locator('img').getAttribute('style'), /scale\(1\.5\)/);
  await bo.page.keyboard.press('Escape');
  await viewer.waitFor({ state: 'detached' });
  assert.equal(sha(await downloaded(bo, 'notes.txt')), sha(text));
  for (const one of [ada, bo]) await one.person.assertClean();
});

scene('what is no picture travels as a plain file', async (stage) => {
  const [ada, bo] = await pair(stage, ['Cleo', 'Dan']);
  const lie = Buffer.from('<script>alert(1)</script>'.repeat(50));
  await choose(ada, [{ name: 'holiday.png', mimeType: 'image/png', buffer: lie }]);
  await ada.say('Look');
  await bo.page.getByRole('button', { name: 'Download holiday.png' }).waitFor();
  assert.equal(await bo.page.locator('.picture').count(), 0);
  assert.equal(sha(await downloaded(bo, 'holiday.png')), sha(lie));
});

scene('a voice is recorded and heard', async (stage) => {
  const [ada, bo] = await pair(stage, ['Eve', 'Finn']);
  await ada.page.getByRole('button', { name: 'Record a voice message' }).click();
  await ada.page.locator('.recorder-levels i').nth(15).waitFor({ state: 'attached' });
  await ada.page.getByRole('button', { name: 'Send voice message' }).click();
  const voice = bo.page.locator('.voice');
  await voice.waitFor();
  await voice.getByRole('button', { name: 'Play voice message' }).click();
  await bo.until(async () => assert.notEqual(await voice.locator('input[type=range]').inputValue(), '0'));
  await voice.getByRole('button', { name: /^Speed/ }).click();
  assert.match(await voice.innerText(), /1\.5×/);
  for (const one of [ada, bo]) await one.person.assertClean();
});

scene('an upload that is cut goes on where it stood', async (stage) => {
  const [ada, bo] = await pair(stage, ['Gail', 'Hugo'], { isProxied: true });
  const bytes = randomBytes(6_000_000);
  const offsets = [];
  ada.page.on('request', (r) => r.method() === 'PATCH' && offsets.push(Number(r.headers()['upload-offset'])));
  const cdp = await ada.page.context().newCDPSession(ada.page);
  const throttle = (uploadThroughput) => cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  await cdp.send('Network.enable');
  await throttle(1_000_000);
  await choose(ada, [{ name: 'big.bin', mimeType: 'application/octet-stream', buffer: bytes }]);
  await ada.say('The whole of it');
  const bar = ada.page.locator('.bundles progress');
  await ada.until(async () => assert.ok(await bar.evaluate((p) => p.value / p.max) > 0.35));
  ada.person.proxy.cut();
  await ada.page.locator('.bundles', { hasText: 'Connection lost' }).waitFor();
  await throttle(-1);
  ada.person.proxy.mend();
  await bo.page.getByRole('button', { name: 'Download big.bin' }).waitFor();
  await ada.page.locator('.bundles').waitFor({ state: 'detached' });
  assert.equal(sha(await downloaded(bo, 'big.bin')), sha(bytes));
  assert.ok(offsets.length >= 2 && offsets.at(-1) > 0, `it began anew: ${offsets}`);
});

const parcels = (page) => page.evaluate(() => new Promise((resolve) => {
  const open = indexedDB.open('parlance.parcels');
  open.onsuccess = () => {
    const db = open.result;
    if (!db.objectStoreNames.contains('parcels')) return resolve((db.close(), []));
    const all = db.transaction('parcels').objectStore('parcels').getAll();
    all.onsuccess = () => resolve((db.close(), all.result));
    return undefined;
  };
}));

scene('a message whose files are on their way outlives its page', async (stage) => {
  const [ada, bo] = await pair(stage, ['Iris', 'Jack'], { isProxied: true });
  const bytes = randomBytes(6_000_000);
  const context = ada.page.context();
  const cdp = await context.newCDPSession(ada.page);
  await cdp.send('Network.enable');
  await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 1_000_000 });
  await choose(ada, [{ name: 'long.bin', mimeType: 'application/octet-stream', buffer: bytes }]);
  await ada.say('Closed too early');
  const bar = ada.page.locator('.bundles progress');
  await ada.until(async () => {
    assert.ok(await bar.evaluate((p) => p.value / p.max) > 0.35);
    const [kept] = await parcels(ada.page);
    assert.match(kept?.files[0]?.url ?? '', /uploads/);
  });
  const path = new URL(ada.page.url()).pathname;
  ada.person.proxy.cut();
  await ada.page.close();
  ada.person.proxy.mend();
  const again = new Chatter(ada.person, await context.newPage());
  ada.person.page = again.page;
  const offsets = [];
  again.page.on('request', (r) => r.method() === 'PATCH' && offsets.push(Number(r.headers()['upload-offset'])));
  await again.open(path);
  await bo.page.getByRole('button', { name: 'Download long.bin' }).waitFor();
  assert.equal(sha(await downloaded(bo, 'long.bin')), sha(bytes));
  assert.ok(offsets.length && offsets[0] > 0, `it began anew: ${offsets}`);
  await again.page.locator('.bundles').waitFor({ state: 'detached' });
  await again.until(async () => assert.deepEqual(await parcels(again.page), []));
  assert.equal(await bo.page.locator('.msg', { hasText: 'Closed too early' }).count(), 1);
});
