// Who may do what: every operation of the API's document, asked by everybody there is, of a meeting they belong to and of
// one they do not. What is expected stands here once more, by hand: an operation without a rule fails, and so does one whose
// rule says other than the route table. What was refused has changed nothing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { claimsOf, resign, sign } from './jwt.mjs';
import { run, startServer } from './server.mjs';

const secret = 'a secret that only these tests know, long enough';
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const document = JSON.parse(run(['openapi']).stdout);
const elsewhere = ['messages', 'groups', 'contacts', 'presence', 'webhooks', 'tasks']; // authorization_messages.test.mjs

// ---- what each rule means: the status for each caller ----

const everyone = ['none', 'guest', 'waiting', 'helper', 'removed', 'stranger', 'member', 'cohost', 'host', 'admin'];
const guests = { guest: 403, waiting: 403, helper: 403 }; // the helper is a guest whom the host made co-host
const meetingFolk = { none: 401, removed: 404, stranger: 404 };
const rules = {
  anyone: { who: 'anyone', meeting: {} },
  guest: { who: 'guest', meeting: { none: 401 } },
  user: { who: 'user', meeting: { none: 401, ...guests } },
  admin: { who: 'admin', meeting: { none: 401, ...Object.fromEntries(everyone.slice(1, -1).map((name) => [name, 403])) } },
  // About the account of `member`: changed by its owner and administrators, or by its owner alone.
  account: { who: 'user', meeting: { none: 401, ...guests, removed: 403, stranger: 403, cohost: 403, host: 403 } },
  owned: { who: 'user', meeting: { none: 401, ...guests, removed: 404, stranger: 404, cohost: 404, host: 404 } },
  owner: { who: 'user', meeting: { none: 401, ...guests, removed: 404, stranger: 404, cohost: 404, host: 404, admin: 404 } },
  // About a meeting; `foreign` is what members of another meeting get. Orders are given by co-hosts, guests among them.
  place: { who: 'guest', meeting: meetingFolk, foreign: { guest: 404, member: 404, host: 404 } },
  inside: { who: 'guest', meeting: { ...meetingFolk, waiting: 403 }, foreign: { guest: 404, member: 404, host: 404 } },
  order: { who: 'guest', meeting: { ...meetingFolk, guest: 403, waiting: 403, member: 403 },
    foreign: { guest: 404, helper: 404, member: 404, host: 404 } },
  cohost: { who: 'user', meeting: { ...meetingFolk, ...guests, member: 403 }, foreign: { guest: 403, member: 404, host: 404 } },
  host: { who: 'user', meeting: { ...meetingFolk, ...guests, member: 403, cohost: 403 },
    foreign: { guest: 403, member: 404, host: 404 } },
  join: { who: 'anyone', meeting: { removed: 403 }, foreign: {} },
};

// ---- every operation: its rule, and a request that would succeed ----

const tus = { 'tus-resumable': '1.0.0' };
// A file of the member's: begun, or all there.
async function upload(s, bytes) {
  const begun = await s.member.ask('POST', '/api/v1/files/uploads', { raw: bytes,
    headers: { ...tus, 'upload-length': String(bytes?.length ?? 3), ...(bytes && { 'content-type': 'application/offset+octet-stream' }) } });
  ok(begun, 201);
  const { id } = begun.body;
  if (!s.former) s.former = [];
  s.former.push(id);
  while (s.former.length > 40) await s.member.delete(`/api/v1/files/uploads/${s.former.shift()}`, { headers: tus });
  return id;
}

let count = 0;
const fresh = () => `fresh.${count += 1}`;
const operations = {
  users_GetUser_me: { rule: 'user' },
  users_SearchUsers: { rule: 'user', query: () => '?q=member' },
  users_GetUser: { rule: 'user', params: (s) => ({ id: s.member.user.id }) },
  users_UpdateUser: { rule: 'account', params: (s) => ({ id: s.member.user.id }), body: () => ({ description: fresh() }) },
  users_PutAvatar: { rule: 'account', params: (s) => ({ id: s.member.user.id }), raw: png, type: 'image/png' },
  users_GetAvatar: { rule: 'anyone', params: (s) => ({ id: s.member.user.id }),
    query: async (s) => `?${ok(await s.member.get('/api/v1/users/me')).avatar_url.split('?')[1]}` },
  users_CreateBot: { rule: 'user', body: () => ({ username: fresh() }) },
  users_ListBots: { rule: 'user' },
  users_DeleteBot: { rule: 'owned', params: async (s) => ({ id: ok(await s.member.post('/api/v1/bots', { username: fresh() })).id }) },
  users_CreateInvitation: { rule: 'admin' },
  users_ListInvitations: { rule: 'admin' },
  users_DeleteInvitation: { rule: 'admin', params: async (s) => ({ code: ok(await s.admin.post('/api/v1/invitations')).code }) },
  auth_Register: { rule: 'anyone', body: () => ({ username: fresh(), password: 'long enough' }) },
  auth_Login: { rule: 'anyone', body: () => ({ login: 'member', password: 'member-password' }) },
  auth_RevokeToken: { rule: 'anyone', body: async (s) => ({ token: (await s.another('member')).refreshToken }) },
  auth_RefreshToken: { rule: 'anyone', body: async (s) => ({ refresh_token: (await s.another('member')).refreshToken }) },
  auth_GetCsrfToken: { rule: 'anyone', headers: async (s) => ({ cookie: (await s.another('member')).cookieHeader }) },
  auth_ListSessions: { rule: 'user' },
  auth_RevokeSession: { rule: 'owner', params: async (s) => ({ id: claimsOf((await s.another('member')).token).sid }) },
  auth_ChangePassword: { rule: 'user', body: (s, who) => {
    const former = who?.password ?? 'none at all';
    if (who) who.password = `${former}+`;
    return { old_password: former, new_password: `${former}+` };
  } },
  auth_ResetPassword: { rule: 'admin', params: async (s) => ({ user_id: (await s.server.register(fresh())).user.id }),
    body: () => ({ new_password: 'given by root' }) },
  auth_ListAudit: { rule: 'admin' },
  auth_CreateKey: { rule: 'user', body: () => ({ name: fresh() }) },
  auth_ListKeys: { rule: 'user' },
  auth_RevokeKey: { rule: 'owner', params: async (s) => ({ id: ok(await s.member.post('/api/v1/auth/keys', { name: fresh() })).id }) },
  media_GetIceServers: { rule: 'guest' },
  media_GetCapabilities: { rule: 'anyone' },
  media_GetStats: { rule: 'guest', query: (s, who, meeting) => `?meeting_id=${meeting.id}` },
  meetings_CreateMeeting: { rule: 'user', body: () => ({ title: 'Another' }) },
  meetings_ListMeetings: { rule: 'user' },
  meetings_GetMeeting: { rule: 'place' },
  meetings_UpdateMeeting: { rule: 'cohost', body: () => ({ title: fresh() }) },
  meetings_DeleteMeeting: { rule: 'host', isEnded: true },
  meetings_PreviewMeeting: { rule: 'anyone' },
  meetings_JoinMeeting: { rule: 'join', body: () => ({ name: 'Whoever' }) },
  meetings_LeaveMeeting: { rule: 'place' },
  meetings_EndMeeting: { rule: 'host' },
  meetings_ListParticipants: { rule: 'inside' },
  meetings_SetParticipantRole: { rule: 'host', params: (s, m) => ({ participant_id: m.places.member }), body: () => ({ role: 'co_host' }) },
  meetings_RemoveParticipant: { rule: 'order', params: (s, m) => ({ participant_id: m.places.guest }) },
  meetings_MuteParticipant: { rule: 'order', params: (s, m) => ({ participant_id: m.places.guest }) },
  meetings_AdmitParticipant: { rule: 'order', params: (s, m) => ({ participant_id: m.places.waiting }) },
  meetings_RefuseParticipant: { rule: 'order', params: (s, m) => ({ participant_id: m.places.waiting }) },
  meetings_Invite: { rule: 'cohost' },
  meetings_ListInvitations: { rule: 'cohost' },
  meetings_RevokeInvitation: { rule: 'cohost', params: (s, m) => ({ invitation_id: m.invitation.id }) },
  meetings_GetCalendar: { rule: 'place' },
  meetings_ListResults: { rule: 'inside' },
  signaling_ListConnections: { rule: 'admin' },
  files_GetCapabilities: { rule: 'anyone' },
  files_CreateUpload: { rule: 'user', headers: () => ({ ...tus, 'upload-length': '3' }), raw: Buffer.alloc(0) },
  files_GetUpload: { rule: 'owner', headers: () => tus, params: async (s) => ({ id: await upload(s) }) },
  files_WriteUpload: { rule: 'owner', headers: () => ({ ...tus, 'upload-offset': '0' }), raw: Buffer.from('abc'),
    type: 'application/offset+octet-stream', params: async (s) => ({ id: await upload(s) }) },
  files_DeleteUpload: { rule: 'owner', headers: () => tus, params: async (s) => ({ id: await upload(s) }) },
  files_ListFiles: { rule: 'user' },
  files_GetContent: { rule: 'owner', params: async (s) => ({ id: await upload(s, png) }) },
  files_GetThumbnail: { rule: 'owner', params: async (s) => ({ id: await upload(s, png) }) },
  files_GetInfo: { rule: 'owner', params: async (s) => ({ id: await upload(s) }) },
  files_DeleteFile: { rule: 'owner', params: async (s) => ({ id: await upload(s, png) }) },
  signaling_Disconnect: { rule: 'admin', params: (s, m) => ({ participant_id: m.places.member }) },
};

// ---- the people, and a meeting with all of them in their places ----

const stage = {};

async function makeMeeting(host) {
  const start = Date.now() + 3600_000;
  return ok(await host.post('/api/v1/meetings', { title: 'The matrix', scheduled_start_ms: start }), 201);
}

async function joinAsGuest(meeting, name) {
  const guest = stage.server.client();
  const reply = ok(await guest.post(`/api/v1/meetings/${meeting.id}/join`, { name }));
  guest.token = reply.access_token;
  guest.place = reply.participant.id;
  return guest;
}

// A meeting, and who is who in it.
async function setScene({ isEnded = false } = {}) {
  const { host, member, cohost, removed } = stage;
  const meeting = await makeMeeting(host);
  const path = `/api/v1/meetings/${meeting.id}`;
  meeting.places = {};
  for (const name of ['host', 'member', 'cohost', 'removed'])
    meeting.places[name] = ok(await stage[name].post(`${path}/join`)).participant.id;
  ok(await host.put(`${path}/participants/${meeting.places.cohost}/role`, { role: 'co_host' }));
  ok(await host.delete(`${path}/participants/${meeting.places.removed}`));
  meeting.invitation = ok(await host.post(`${path}/invitations`), 201);
  const guest = await joinAsGuest(meeting, 'Guest');
  const helper = await joinAsGuest(meeting, 'Helper');
  ok(await host.put(`${path}/participants/${helper.place}/role`, { role: 'co_host' }));
  ok(await host.put(path, { has_waiting_room: true }));
  const waiting = await joinAsGuest(meeting, 'Waiting');
  Object.assign(meeting.places, { guest: guest.place, waiting: waiting.place });
  if (isEnded) ok(await host.post(`${path}/end`));
  return { meeting, callers: { ...stage, none: stage.server.client(), guest, helper, waiting, member, cohost, host, removed } };
}

before(async () => {
  stage.server = await startServer({ env: { JWT_SECRET: secret } });
  stage.admin = await stage.server.register('root');
  for (const name of ['host', 'member', 'cohost', 'removed', 'stranger', 'outsider']) {
    stage[name] = await stage.server.register(name);
    stage[name].password = `${name}-password`;
  }
  stage.admin.password = 'root-password';
  stage.another = async (name) => {
    const client = stage.server.client();
    return client.signIn(name, stage[name].password);
  };
  operations.auth_Login.body = () => ({ login: 'member', password: stage.member.password });
  const avatar = await stage.member.ask('PUT', '/api/v1/users/me/avatar', { raw: png, headers: { 'content-type': 'image/png' } });
  ok(avatar);
});
after(() => stage.server?.stop());

async function ask(client, { method, path, operation, scene, meeting = scene.meeting, token }) {
  const params = { id: meeting.id, ...await operation.params?.(stage, scene.meeting) };
  const target = path.replace(/\{(\w+)\}/g, (whole, name) => encodeURIComponent(params[name]))
    + (await operation.query?.(stage, client, meeting) ?? '');
  const headers = { ...await operation.headers?.(stage), ...(operation.type ? { 'content-type': operation.type } : {}) };
  if (token) headers.authorization = `Bearer ${token}`;
  const isBodiless = ['get', 'head', 'options'].includes(method) || method === 'delete' || operation.raw;
  const body = isBodiless ? undefined : (await operation.body?.(stage, client.password ? client : null)) ?? {};
  return client.ask(method.toUpperCase(), target, { body, raw: operation.raw, headers });
}

// What those in charge see of a meeting and of an account.
async function look({ meeting }) {
  const path = `/api/v1/meetings/${meeting.id}`;
  const seen = [];
  for (const target of [path, `${path}/participants`, `${path}/invitations`, `/api/v1/users/${stage.member.user.id}`])
    seen.push((await stage.admin.get(target)).text);
  return seen;
}

const says = (status) => (status < 300 ? 'allowed' : String(status));

describe('every operation has its rule', () => {
  const all = Object.values(document.paths).flatMap((methods) => Object.values(methods))
    .filter((operation) => !elsewhere.includes(operation.tags[0]));

  test('in the document and here', () => {
    assert.deepEqual(all.map((o) => o.operationId).sort(), Object.keys(operations).sort());
    for (const { operationId, 'x-who': who } of all)
      assert.equal(who, rules[operations[operationId].rule].who, operationId);
  });
});

for (const [path, methods] of Object.entries(document.paths)) {
  for (const [method, { operationId }] of Object.entries(methods)) {
    const operation = operations[operationId];
    if (!operation) continue; // said above, or elsewhere
    const rule = rules[operation.rule];
    const isAbout = rule.foreign !== undefined;

    test(`${method.toUpperCase()} ${path}`, async () => {
      const wrong = [];
      const judge = (who, reply, expected) => {
        if (says(reply.status) !== (expected ? String(expected) : 'allowed')) wrong.push(`${who}: ${reply.status} ${reply.text.slice(0, 120)}`);
        else if (expected && method !== 'head') refused(reply, { 401: 'unauthenticated', 403: 'permission_denied', 404: 'not_found' }[expected]);
      };

      const first = await setScene(operation);
      const before = await look(first);
      for (const who of everyone.filter((name) => rule.meeting[name]))
        judge(who, await ask(first.callers[who], { method, path, operation, scene: first }), rule.meeting[who]);

      // A token that is none opens not even what is open to anyone.
      const gone = await stage.another('member');
      ok(await gone.post('/api/v1/auth/logout'));
      const good = stage.admin.token;
      const tokens = {
        nonsense: 'nonsense', revoked: gone.token, refresh: stage.admin.refreshToken,
        expired: resign(good, secret, (c) => ({ ...c, iat: c.iat - 9000, nbf: c.nbf && c.nbf - 9000, exp: c.iat - 1000 })),
        'wrong key': resign(good, `${secret}!`), 'no signature': `${good.split('.').slice(0, 2).join('.')}.`,
        none: `${sign({ alg: 'none', typ: 'JWT' }, claimsOf(good), '').split('.').slice(0, 2).join('.')}.`,
      };
      for (const [name, token] of Object.entries(tokens))
        judge(`a token (${name})`, await ask(stage.server.client(), { method, path, operation, scene: first, token }), 401);

      // Members of one meeting are strangers in another.
      if (isAbout) {
        const elsewhere = await makeMeeting(stage.outsider);
        for (const who of ['guest', 'helper', 'member', 'host'].filter((name) => rule.foreign[name]))
          judge(`${who} of another meeting`,
            await ask(first.callers[who], { method, path, operation, scene: first, meeting: elsewhere }), rule.foreign[who]);
      }
      assert.deepEqual(await look(first), before, 'what was refused changed nothing');

      let scene = first;
      for (const who of everyone.filter((name) => !rule.meeting[name])) {
        judge(who, await ask(scene.callers[who], { method, path, operation, scene }));
        if (method !== 'get' && isAbout) scene = await setScene(operation);
      }
      assert.deepEqual(wrong, []);
    });
  }
}
