// A client whose requests are signed with a key (docs/api.md, "Signed requests") instead of carrying a token.
//
//   const program = new SignedClient(server.url, await alice.post('/api/v1/auth/keys', { name: 'nightly' }).body);
//   await program.get('/api/v1/users/me');
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { Client } from './server.mjs';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// The text that is signed.
export function textToSign({ keyId, time, nonce, method, target, digest }) {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  // By bytes: a URL is ASCII, so JavaScript's own order of texts is the same.
  const query = at < 0 ? '' : target.slice(at + 1).split('&').sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).join('&');
  return ['PARLANCE-HMAC-SHA256', keyId, time, nonce, method, path, query, digest].join('\n');
}

// The header. Any part may be given otherwise, for what must be refused.
export function authorization(key, method, target, { body = '', time = Date.now(), nonce = randomBytes(16).toString('hex'),
  digest = sha256(body), keyId = key.id, signature } = {}) {
  const text = textToSign({ keyId, time, nonce, method, target, digest });
  const own = signature ?? createHmac('sha256', key.secret).update(text).digest('hex');
  return `Parlance-HMAC-SHA256 key=${keyId}, time=${time}, nonce=${nonce}, digest=${digest}, signature=${own}`;
}

export class SignedClient extends Client {
  constructor(base, key) {
    super(base);
    this.key = key;
  }

  ask(method, target, { body, headers = {}, raw, signing = {} } = {}) {
    const bytes = raw ?? (body === undefined ? '' : JSON.stringify(body));
    const header = headers.authorization ?? authorization(this.key, method, target, { body: bytes, ...signing });
    return super.ask(method, target, { body, raw, headers: { ...headers, authorization: header } });
  }
}
