// Who may do what with conversations: every operation of messages, groups, contacts and presence, asked by everybody there is, of a
// group they belong to, belonged to, or never did. An operation without a rule fails. What was refused has changed nothing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { run, startServer } from './server.mjs';
import { upload } from './tus.mjs';

const tags = ['messages', 'groups', 'contacts', 'presence', 'webhooks', 'tasks'];
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const document = JSON.parse(run(['openapi']).stdout);

// ---- what each rule means: the status for each caller; who is not named is allowed ----

const everyone = ['none', 'guest', 'stranger', 'gone', 'banned', 'asking', 'member', 'deputy', 'owner', 'root'];
const outside = { none: 401, stranger: 404, banned: 404, asking: 404, root: 404 };
const rules = {
  guest: { who: 'guest', not: { none: 401 } },
  user: { who: 'user', not: { none: 401, guest: 403 } },
  read: { who: 'guest', not: { ...outside, guest: 404 } },
  place: { who: 'guest', not: { ...outside, guest: 404, gone: 403 } },
  placeUser: { who: 'user', not: { ...outside, guest: 403, gone: 403 } },
  author: { who: 'guest', not: { ...outside, guest: 404, gone: 403, deputy: 403, owner: 403 } },
  readUser: { who: 'user', not: { ...outside, guest: 403 } },
  admin: { who: 'user', not: { ...outside, guest: 403, gone: 403, member: 403 } },
  owner: { who: 'user', not: { ...outside, guest: 403, gone: 403, member: 403, deputy: 403 } },
  join: { who: 'user', not: { none: 401, guest: 403, banned: 404 } },
  anyone: { who: 'anyone', not: {} },
  operator: { who: 'admin', not: { none: 401, ...Object.fromEntries(everyone.slice(1, -1).map((name) => [name, 403])) } },
  leave: { who: 'user', not: { ...outside, guest: 403, owner: 409 } },
  revoke: { who: 'user', not: { ...outside, guest: 403, gone: 403, member: 404 } }, // of others' invitations members know nothing
};
const codes = { 401: 'unauthenticated', 403: 'permission_denied', 404: 'not_found', 409: 'failed_precondition' };

// ---- every operation: its rule, and a request that would succeed; seq 1 is the member's ----

let count = 0;
const fresh = () => `fresh-${count += 1}`;
const seq = () => ({ seq: 1 });
const operations = {
  messages_GetConversations: { rule: 'guest' },
  messages_GetConversation: { rule: 'read' },
  messages_SetOwn: { rule: 'read', body: () => ({ draft: fresh() }) },
  messages_GetMessageHistory: { rule: 'read' },
  messages_GetFile: { rule: 'read', params: (s) => ({ file_id: s.file }) },
  messages_GetFileThumbnail: { rule: 'read', params: (s) => ({ file_id: s.file }) },
  messages_MarkAsRead: { rule: 'read', body: () => ({ is_unread: true }) },
  messages_MarkDelivered: { rule: 'place', body: () => ({ seq: 2 }) },
  messages_GetChanges: { rule: 'read' },
  messages_ListScheduled: { rule: 'readUser' },
  messages_CancelScheduled: { rule: 'readUser', params: async (s, g, client) => ({ scheduled_id: await g.schedule(client) }) },
  messages_EditMessage: { rule: 'author', params: seq, body: () => ({ content: { text: fresh() } }) },
  messages_RecallMessage: { rule: 'place', params: seq },
  messages_React: { rule: 'place', params: seq, body: () => ({ emoji: '👍' }) },
  messages_Pin: { rule: 'admin', params: seq },
  messages_GetReceipts: { rule: 'author', params: seq },
  messages_DeleteForMe: { rule: 'readUser', body: () => ({ seqs: [1] }) },
  messages_SendMessage: { rule: 'place', body: (s, g) => ({ conversation_id: g.id, client_msg_id: fresh(), content: { text: 'x' } }) },
  messages_StartCall: { rule: 'placeUser' },
  messages_SetTyping: { rule: 'place' },
  messages_GetUnreadMessages: { rule: 'guest' },
  messages_Search: { rule: 'guest', query: () => '?query=word' },
  messages_Sync: { rule: 'guest' },
  groups_CreateGroup: { rule: 'user', body: () => ({ kind: 'group', title: fresh() }) },
  groups_UpdateGroup: { rule: 'admin', body: () => ({ title: fresh() }) },
  groups_DissolveGroup: { rule: 'owner' },
  groups_ListMembers: { rule: 'place' },
  groups_AddMembers: { rule: 'admin', body: (s) => ({ user_ids: [s.other.user.id] }) },
  groups_JoinGroup: { rule: 'join' },
  groups_LeaveGroup: { rule: 'leave' },
  groups_SetMember: { rule: 'owner', params: (s) => ({ user_id: s.member.user.id }), body: () => ({ role: 'admin' }) },
  groups_RemoveMember: { rule: 'admin', params: (s) => ({ user_id: s.member.user.id }) },
  groups_UnbanMember: { rule: 'admin', params: (s) => ({ user_id: s.banned.user.id }) },
  groups_ListInvitations: { rule: 'user' },
  groups_AnswerInvitation: { rule: 'user', params: async (s, g, client) => ({ id: await invited(client) }), body: () => ({ is_accepted: true }) },
  groups_InviteMembers: { rule: 'admin', body: (s) => ({ user_ids: [s.other.user.id] }) },
  groups_ListGroupInvitations: { rule: 'placeUser' },
  groups_RevokeInvitation: { rule: 'revoke', params: async (s, g) => {
    ok(await s.owner.post(`/api/v1/groups/${g.id}/invitations`, { user_ids: [s.other.user.id] }));
    return { user_id: s.other.user.id };
  } },
  groups_CreateInviteLink: { rule: 'admin' },
  groups_ListInviteLinks: { rule: 'admin' },
  groups_RevokeInviteLink: { rule: 'admin', params: async (s, g) => ({ link_id: (await linkOf(g)).id }) },
  groups_LookAtInviteLink: { rule: 'join', body: async (s, g) => ({ token: (await linkOf(g)).token }) },
  groups_JoinByLink: { rule: 'join', body: async (s, g) => ({ token: (await linkOf(g)).token }) },
  contacts_ListContacts: { rule: 'user' },
  contacts_RequestContact: { rule: 'user', body: async () => ({ user_id: (await stage.server.register(fresh())).user.id }) },
  contacts_AnswerContact: { rule: 'user', params: async (s, g, client) => ({ user_id: await asking(client) }), body: () => ({ is_accepted: true }) },
  contacts_SetContact: { rule: 'user', params: (s) => ({ user_id: s.other.user.id }), body: () => ({ is_blocked: false }) },
  presence_GetPresences: { rule: 'user', query: () => `?user_ids=${stage.other.user.id}` },
  presence_GetOwnPresence: { rule: 'user' },
  presence_SetPresence: { rule: 'user', body: () => ({ text: fresh() }) },
  presence_UserOnline: { rule: 'user', body: () => ({ device_id: 'one' }) },
  presence_UserOffline: { rule: 'user', body: () => ({ device_id: 'one' }) },
  presence_GetOnlineUsers: { rule: 'user' },
  presence_GetUserPresence: { rule: 'user', params: (s) => ({ user_id: s.other.user.id }) },
  presence_IsUserOnline: { rule: 'user', params: (s) => ({ user_id: s.other.user.id }) },
  webhooks_CreateWebhook: { rule: 'admin', body: (s, g) => ({ name: 'x', conversation_id: g.id }) },
  webhooks_ListWebhooks: { rule: 'admin', query: (s, g) => `?conversation_id=${g.id}` },
  webhooks_EnableWebhook: { rule: 'admin', params: async (s, g) => ({ id: (await webhookOf(g)).id }) },
  webhooks_DeleteWebhook: { rule: 'admin', params: async (s, g) => ({ id: (await webhookOf(g)).id }) },
  webhooks_PostWebhook: { rule: 'anyone', body: () => ({ text: fresh() }), params: async (s, g) => {
    const [id, secret] = (await webhookOf(g)).url.split('/').slice(-2);
    return { id, secret };
  } },
  tasks_ListQueues: { rule: 'operator' },
  tasks_ListDeadTasks: { rule: 'operator' },
  tasks_ReviveDeadTasks: { rule: 'operator', body: () => ({ queue: 'none' }) },
  tasks_DropDeadTasks: { rule: 'operator', query: () => '?queue=none' },
  contacts_RemoveContact: { rule: 'user', params: (s) => ({ user_id: s.other.user.id }) },
};

// ---- the people, and a group with all of them in their places ----

const stage = {};

// Somebody who has asked this client to be a contact.
async function asking(client) {
  const asker = await stage.server.register(fresh());
  if (client?.user) ok(await asker.post('/api/v1/contacts', { user_id: client.user.id }));
  return asker.user.id;
}

// A group of somebody else's that this client is invited to.
async function invited(client) {
  const group = ok(await stage.other.post('/api/v1/groups', { kind: 'group', title: fresh() }), 201);
  const isSelf = client === stage.other;
  if (client?.user && !isSelf) ok(await stage.other.post(`/api/v1/groups/${group.id}/invitations`, { user_ids: [client.user.id] }));
  return group.id;
}

async function linkOf(group) {
  group.link ??= ok(await stage.owner.post(`/api/v1/groups/${group.id}/links`, {}), 201);
  return group.link;
}

async function webhookOf(group) {
  group.webhook ??= ok(await stage.owner.post('/api/v1/webhooks', { name: 'A hook', conversation_id: group.id }), 201);
  return group.webhook;
}

async function setScene() {
  const { owner, deputy, member, gone, banned } = stage;
  const ids = [deputy, member, gone, banned].map((client) => client.user.id);
  const group = ok(await owner.post('/api/v1/groups', { kind: 'group', title: 'The matrix', join_rule: 'ask', user_ids: ids }), 201);
  const path = `/api/v1/groups/${group.id}`;
  const say = async (client, more) => ok(await client.post('/api/v1/messages',
    { conversation_id: group.id, client_msg_id: fresh(), content: { text: 'a word' }, ...more }));
  await say(member);
  await say(owner);
  await say(member, { content: { kind: 'image', attachments: [{ file_id: stage.file }] } });
  ok(await owner.put(`${path}/members/${deputy.user.id}`, { role: 'admin' }));
  group.scheduled = {};
  for (const name of ['owner', 'deputy', 'member', 'gone'])
    group.scheduled[name] = (await say(stage[name], { send_at_ms: Date.now() + 3600_000 })).scheduled_id;
  group.schedule = (client) => Object.entries(group.scheduled).find(([name]) => stage[name] === client)?.[1] ?? group.scheduled.member;
  ok(await gone.post(`${path}/leave`));
  ok(await owner.delete(`${path}/members/${banned.user.id}?is_banned=true`));
  ok(await stage.asking.post(`${path}/join`));
  return group;
}

before(async () => {
  stage.server = await startServer();
  stage.root = await stage.server.register('root');
  for (const name of ['owner', 'deputy', 'member', 'gone', 'banned', 'asking', 'stranger', 'other'])
    stage[name] = await stage.server.register(name);
  stage.none = stage.server.client();
  stage.file = await upload(stage.member, png, { type: 'image/png' });
  const meeting = ok(await stage.owner.post('/api/v1/meetings', { title: 'Elsewhere' }), 201);
  stage.guest = stage.server.client();
  stage.guest.token = ok(await stage.guest.post(`/api/v1/meetings/${meeting.id}/join`, { name: 'Guest' })).access_token;
});
after(() => stage.server?.stop());

async function ask(client, { method, path, operation, group }) {
  const params = { id: group.id, ...await operation.params?.(stage, group, client) };
  const target = path.replace(/\{(\w+)\}/g, (whole, name) => encodeURIComponent(params[name])) + (operation.query?.(stage, group) ?? '');
  const isBodiless = method === 'get' || method === 'delete';
  const body = isBodiless ? undefined : (await operation.body?.(stage, group)) ?? {};
  return client.ask(method.toUpperCase(), target, { body });
}

async function look({ id }) {
  const seen = [];
  for (const target of [`/api/v1/conversations/${id}`, `/api/v1/conversations/${id}/messages`, `/api/v1/groups/${id}/members`])
    seen.push((await stage.owner.get(target)).text);
  return seen;
}

const all = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })))
  .filter((operation) => tags.includes(operation.tags[0]));

describe('every operation has its rule', () => {
  test('in the document and here', () => {
    assert.deepEqual(all.map((o) => o.operationId).sort(), Object.keys(operations).sort());
    for (const { operationId, 'x-who': who } of all)
      assert.equal(who, rules[operations[operationId].rule].who, operationId);
  });
});

for (const { path, method, operationId } of all) {
  const operation = operations[operationId];
  if (!operation) continue; // said above
  const { not } = rules[operation.rule];

  test(`${method.toUpperCase()} ${path}`, async () => {
    const wrong = [];
    const judge = (who, reply) => {
      const expected = not[who];
      if (expected ? reply.status !== expected : reply.status >= 300) wrong.push(`${who}: ${reply.status} ${reply.text.slice(0, 120)}`);
      else if (expected) refused(reply, codes[expected]);
    };
    let group = await setScene();
    const seen = await look(group);
    for (const who of everyone.filter((name) => not[name]))
      judge(who, await ask(stage[who], { method, path, operation, group }));
    assert.deepEqual(await look(group), seen, 'what was refused changed nothing');
    for (const who of everyone.filter((name) => !not[name])) {
      judge(who, await ask(stage[who], { method, path, operation, group }));
      if (method !== 'get') group = await setScene();
    }
    assert.deepEqual(wrong, []);
  });
}
