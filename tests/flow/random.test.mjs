// Every operation asked with values at random, made from its own schema, some of them wrong: the answer is a documented one
// and never 5xx, and at the end everything still works. PARLANCE_SEED repeats a run,
// PARLANCE_ROUNDS makes it longer.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ok } from './check.mjs';
import { run, startServer } from './server.mjs';

const ROUNDS = Number(process.env.PARLANCE_ROUNDS ?? 12);
const seed = Number(process.env.PARLANCE_SEED ?? Date.now() % 2 ** 31);
const document = JSON.parse(run(['openapi']).stdout);
let state = seed;
let server;
let admin;
const known = { id: [], participant_id: [], user_id: [], invitation_id: [], code: ['x'], seq: ['1', '2', '3'], scheduled_id: ['x'] };

// mulberry32: small, good enough, and the same everywhere.
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const pick = (list) => list[Math.floor(random() * list.length)];

const texts = ['', 'x', 'a plain text', ' padded ', 'Ünïcödé 会议 🎉', 'x'.repeat(199), 'x'.repeat(6000), 'two\nlines', 'tab\there', '0', '-1', 'null', 'true',
  'ann@example.org', '+49 170 1234567', 'en', 'zh-CN', 'Europe/Berlin', 'UTC', 'host', 'co_host', 'admin', 'user', 'audio', 'all', 'me', 'others', '{"a":1}',
  '\u200b', 'e\u0301', '\u{10ffff}', '\ud83d', '\u0000', '%00', '01M7YJPKHX1NE66T8H50TPYVP7', '1732150000000.01M7YJPKHX1NE66T8H50TPYVP7', 'A'.repeat(64)];
const numbers = [0, 1, 2, -1, 10, 500, 10_000, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 53, Date.now(), Date.now() + 86_400_000, 0.5, 1e300, '9223372036854775807', '-9223372036854775808', '18446744073709551616'];

const resolve = (schema) => (schema?.$ref ? schema.$ref.slice(2).split('/').reduce((at, key) => at[key], document) : schema);

function make(given, depth = 0) {
  const schema = resolve(given) ?? {};
  if (random() < 0.06) return pick([null, 5, 'text', [], {}, true, [[]], { a: { b: {} } }]);
  if (schema.enum) return random() < 0.8 ? pick(schema.enum) : pick(texts);
  const type = [schema.type].flat()[0];
  if (type === 'boolean') return random() < 0.5;
  if (type === 'integer' || type === 'number') return pick(numbers);
  if (type === 'array') return Array.from({ length: pick([0, 1, 2, 150]) }, () => make(schema.items, depth + 1));
  if (type !== 'object') return pick(texts);
  const fields = Object.entries(schema.properties ?? {}).filter(() => random() < 0.6).map(([name, s]) => [name, make(s, depth + 1)]);
  if (random() < 0.05) fields.push([pick(texts), 1]);
  return Object.fromEntries(fields);
}

before(async () => {
  server = await startServer();
  admin = await server.register('root');
  const other = await server.register('other');
  const meeting = ok(await admin.post('/api/v1/meetings', { title: 'Random', scheduled_start_ms: Date.now() + 3600_000 }), 201);
  const { participant } = ok(await other.post(`/api/v1/meetings/${meeting.id}/join`));
  const link = ok(await admin.post(`/api/v1/meetings/${meeting.id}/invitations`), 201);
  known.id.push(meeting.id, meeting.code, other.user.id, 'me');
  known.participant_id.push(participant.id, 'all');
  known.user_id.push(other.user.id);
  known.invitation_id.push(link.id);
  const group = ok(await admin.post('/api/v1/groups', { kind: 'group', title: 'Random', user_ids: [other.user.id], client_id: 'x' }), 201);
  for (let i = 0; i < 3; i++) ok(await admin.post('/api/v1/messages', { conversation_id: group.id, client_msg_id: `m${i}`, content: { text: `message ${i}` } }));
  ok(await other.post('/api/v1/contacts', { user_id: admin.user.id }));
  known.id.push(group.id, group.id);
});
after(() => server?.stop());

test(`whatever is asked is answered as documented (PARLANCE_SEED=${seed})`, async () => {
  const seen = {};
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { path, method, operationId, parameters = [], requestBody } of operations) {
      if (/^auth_(Login|ChangePassword|RevokeToken|RevokeSession|ResetPassword)$/.test(operationId) && round > 2) continue; // they would be throttled, or end us
      const target = path.replace(/\{(\w+)\}/g, (whole, name) =>
        encodeURIComponent((random() < 0.8 ? pick(known[name] ?? texts) : pick(texts)).replace(/[\ud800-\udfff]/g, '') || 'x'));
      const query = parameters.filter((p) => p.in === 'query' && random() < 0.6)
        .map((p) => `${p.name}=${encodeURIComponent(String(make(p.schema)).replace(/[\ud800-\udfff]/g, ''))}`).join('&');
      const schema = requestBody?.content?.['application/json']?.schema;
      const body = schema && random() < 0.95 ? make(schema) : undefined;
      const what = `${operationId} ${target}?${query} ${JSON.stringify(body)?.slice(0, 300)}`;
      const isUs = /^auth_(RevokeToken|RevokeSession|ChangePassword)$/.test(operationId) || (operationId === 'users_UpdateUser' && /\/me$/.test(target));
      const client = isUs ? await server.client().signIn('other', 'other-password').catch(() => server.client()) : admin;
      const reply = await client.ask(method.toUpperCase(), target + (query ? `?${query}` : ''), { body }).catch((problem) => { problem.message += ` — ${what}`; throw problem; });
      assert.ok(reply.status < 500, `${what}: ${reply.status} ${reply.text}`);
      if (reply.status >= 400 && method !== 'head') assert.ok(reply.body?.error?.code && reply.body.error.message && reply.body.error.request_id, `${what}: ${reply.text}`);
      (seen[operationId] ??= new Set()).add(reply.status);
    }
  }
  const good = Object.values(seen).filter((statuses) => [...statuses].some((status) => status < 300)).length;
  assert.ok(good > operations.length / 3, `only ${good} of ${operations.length} operations ever succeeded`);
  assert.equal((await fetch(`${server.url}/ready`)).status, 200);
  ok(await server.client().post('/api/v1/auth/login', { login: 'root', password: 'root-password' }));
});
