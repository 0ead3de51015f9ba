// What every answer of the API has to keep: said once, used by all flow tests.
import assert from 'node:assert/strict';
import { eventually } from './server.mjs';

// Success, with this status if it is named; gives the body.
export function ok(reply, status) {
  assert.ok(reply.status < 300, `expected success: ${reply.status} ${reply.text}`);
  if (status) assert.equal(reply.status, status);
  return reply.body;
}

const statuses = {
  invalid_argument: 400, unauthenticated: 401, permission_denied: 403, not_found: 404, method_not_allowed: 405,
  already_exists: 409, aborted: 409, failed_precondition: 409, out_of_range: 400, resource_exhausted: 429,
  unimplemented: 501, unavailable: 503, deadline_exceeded: 504, body_too_large: 413, header_too_large: 431,
};

// An error of the one shape: code and the status that goes with it, a message, the request's id in body and header.
export function refused(reply, code, pattern, status = statuses[code]) {
  assert.ok(reply.body?.error, `expected ${code}: ${reply.status} ${reply.text}`);
  const { error } = reply.body;
  assert.equal(error.code, code, reply.text);
  if (status) assert.equal(reply.status, status, reply.text);
  assert.deepEqual(Object.keys(reply.body), ['error']);
  assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'request_id']);
  assert.ok(error.message.length > 3, 'a message for people');
  assert.ok(error.request_id, 'a request id');
  assert.equal(reply.headers.get('x-request-id'), error.request_id);
  assert.match(reply.headers.get('content-type'), /^application\/json/);
  if (pattern) assert.match(error.message, pattern);
  return error;
}

// Who is signed out hears so within a second: for so long may an edge remember what it was told of a token.
export async function endsSoon(client) {
  const reply = await eventually(async () => {
    const now = await client.get('/api/v1/users/me');
    return now.status === 401 && now;
  }, { ms: 5000 });
  refused(reply, 'unauthenticated');
}

// For what comes by an event: tries for two seconds until the assertions hold.
export const eventuallyOk = (check) => eventually(async () => { await check(); });
