// Tokens signed by a key file: RS256 and ES256, and the old confusion of a public key with a shared secret.
import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ok, refused } from './check.mjs';
import { claimsOf, headerOf, sign } from './jwt.mjs';
import { makeDataDir, run, startServer } from './server.mjs';

const pem = (key) => key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' });
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// Signed as it should be, with whatever key.
function signWith(header, claims, key) {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createSign('sha256').update(text).sign({ key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

const kinds = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};

describe('a key file', () => {
  for (const [algorithm, generate] of Object.entries(kinds)) {
    test(`${algorithm}: signs, is checked, and is confused with nothing else`, async () => {
      const dir = makeDataDir();
      const { privateKey, publicKey } = generate();
      const file = path.join(dir, 'key.pem');
      writeFileSync(file, pem(privateKey), { mode: 0o600 });
      const server = await startServer({ env: { PARLANCE_JWT_KEY_FILE: file } });
      try {
        const alice = await server.register('alice');
        const header = headerOf(alice.token);
        const claims = claimsOf(alice.token);
        assert.equal(header.alg, algorithm);
        ok(await alice.get('/api/v1/users/me'));
        ok(await server.client().post('/api/v1/auth/refresh', { refresh_token: alice.refreshToken }));
        const asks = (token) => server.client().get('/api/v1/users/me', { headers: { authorization: `Bearer ${token}` } });
        ok(await asks(signWith(header, claims, privateKey)));
        const stranger = generate().privateKey;
        const other = Object.entries(kinds).find(([name]) => name !== algorithm)[1]().privateKey;
        const bad = {
          'the public key as a secret': sign({ ...header, alg: 'HS256' }, claims, pem(publicKey)),
          'the public key as a secret, without its last line feed': sign({ ...header, alg: 'HS256' }, claims, pem(publicKey).trim()),
          'the private key as a secret': sign({ ...header, alg: 'HS256' }, claims, pem(privateKey)),
          'another key of the kind': signWith(header, claims, stranger),
          'a key of another kind': signWith(header, claims, other),
          'a key that it brings itself': signWith({ ...header, jwk: stranger.export({ format: 'jwk' }) }, claims, stranger),
          'a key from elsewhere': signWith({ ...header, jku: 'https://evil.example/keys', kid: '../../dev/null' }, claims, stranger),
          'no signature': `${encode({ ...header, alg: 'none' })}.${encode(claims)}.`,
          'an empty signature': `${alice.token.split('.').slice(0, 2).join('.')}.`,
          'a signature of zeros': `${alice.token.split('.').slice(0, 2).join('.')}.${Buffer.alloc(algorithm === 'ES256' ? 64 : 256).toString('base64url')}`,
        };
        for (const [name, token] of Object.entries(bad)) {
          const reply = await asks(token);
          assert.equal(reply.status, 401, `${name}: ${reply.text}`);
          refused(reply, 'unauthenticated');
        }
      } finally {
        await server.stop();
        rmSync(dir, { recursive: true, force: true });
      }
    });
  }

  test('one that is none, too weak, or of another kind is refused at the start', () => {
    const dir = makeDataDir();
    const bad = {
      'no key': 'nonsense', 'a public key': pem(kinds.ES256().publicKey), 'a short RSA key': pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey),
      'another curve': pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey), 'another algorithm': pem(generateKeyPairSync('ed25519').privateKey),
    };
    for (const [name, text] of Object.entries(bad)) {
      const file = path.join(dir, 'key.pem');
      writeFileSync(file, text, { mode: 0o600 });
      const result = run(['serve'], { dataDir: path.join(dir, 'data'), env: { PARLANCE_JWT_KEY_FILE: file } });
      assert.equal(result.status, 1, `${name}: ${result.stdout}${result.stderr}`);
      assert.ok(result.stderr.length > 10, name);
    }
    assert.equal(run(['serve'], { dataDir: path.join(dir, 'data'), env: { PARLANCE_JWT_KEY_FILE: '/nowhere/key.pem' } }).status, 1);
    rmSync(dir, { recursive: true, force: true });
  });
});
