// What a guest has to fetch before a meeting, and for it: gzipped JavaScript as the server sends it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { scene, setUp } from './stage.mjs';

setUp();

const PREJOIN_BYTES = 60_000;
const MEETING_BYTES = 90_000;
const CHAT_BYTES = 80_000;

// Bytes of the body on the wire, for a client that takes gzip.
function servedBytes(url) {
  return new Promise((resolve, reject) => {
    http.get(url, { headers: { 'accept-encoding': 'gzip' } }, (reply) => {
      let bytes = 0;
      reply.on('data', (chunk) => { bytes += chunk.length; });
      reply.on('end', () => resolve({ bytes, encoding: reply.headers['content-encoding'], cache: reply.headers['cache-control'] }));
    }).on('error', reject);
  });
}

async function sizeOf(urls) {
  let sum = 0;
  for (const url of urls) {
    const { bytes, encoding, cache } = await servedBytes(url);
    assert.ok(encoding === 'gzip' || bytes < 1000, `${url} is sent as it is: ${bytes} bytes`);
    assert.match(cache ?? '', /immutable/, url);
    sum += bytes;
  }
  return sum;
}

scene('the pages keep to their budgets', async (stage, t) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const guest = await stage.person('Gus');
  const scripts = new Set();
  guest.page.on('response', (r) => r.request().resourceType() === 'script' && scripts.add(r.url()));

  // The meeting's own code is fetched once the page knows the meeting: until then all that comes is the prejoin page's.
  let letThrough;
  const isHeld = new Promise((resolve) => { letThrough = resolve; });
  await guest.page.route(/\/api\/v1\/meetings\//, async (route) => {
    await isHeld;
    await route.continue();
  });
  // The chat comes by itself when the meeting has come to rest: it is kept back until the meeting is weighed.
  let letChat;
  const isChatHeld = new Promise((resolve) => { letChat = resolve; });
  await guest.page.route(/\/assets\/beside-/, async (route) => {
    await isChatHeld;
    await route.continue();
  });
  await guest.page.goto(guest.at(link));
  await guest.page.locator('.lobby[aria-busy=true]').waitFor();
  const before = [...scripts];
  letThrough();
  await guest.page.locator('.join-btn').waitFor();
  await guest.join();
  await guest.receives('Ada');
  const added = [...scripts].filter((url) => !before.includes(url) && !/\/beside-/.test(url));
  await guest.page.locator('.bar').getByRole('button', { name: /^Chat/ }).click();
  letChat();
  await guest.page.locator('.composer textarea').waitFor();
  const talk = [...scripts].filter((url) => !before.includes(url) && !added.includes(url));

  const prejoin = await sizeOf(before);
  const meeting = await sizeOf(added);
  const chat = await sizeOf(talk);
  t.diagnostic(`prejoin ${prejoin} bytes in ${before.length} files, the meeting ${meeting} more in ${added.length}, its chat ${chat} in ${talk.length}`);
  assert.ok(before.length > 2 && added.length > 0 && talk.length > 1);
  assert.ok(prejoin <= PREJOIN_BYTES, `prejoin: ${prejoin} bytes`);
  assert.ok(meeting <= MEETING_BYTES, `the meeting: ${meeting} bytes`);
  assert.ok(chat <= CHAT_BYTES, `the chat: ${chat} bytes`);
});
