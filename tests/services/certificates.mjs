// What a server over TLS needs for tests, made by openssl in its directory: an authority, a certificate for 127.0.0.1 and
// localhost that it signed, one for clients, and an authority that signed nothing.
import { chownSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findProgram } from './service.mjs';

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

// A file of the server's own: by another user's rights if it has another user.
export function writeFor(server, name, text) {
  const file = path.join(server.dir, name);
  writeFileSync(file, text, { mode: 0o600 });
  if (server.user) chownSync(file, server.user.uid, server.user.gid);
  return file;
}

export function makeCertificates(server) {
  const openssl = findProgram('openssl', ['/usr/bin', '/usr/local/bin']);
  const at = (name) => path.join(server.dir, name);
  const run = (...args) => server.prepare(openssl, args);
  const authority = (name) => run('req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name} of tests`,
    '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`));
  const sign = (name, extensions) => {
    run('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`));
    run('x509', '-req', '-in', at(`${name}.csr`), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2',
      '-extfile', writeFor(server, `${name}.ext`, extensions), '-out', at(`${name}.pem`));
  };
  authority('ca');
  authority('stranger');
  sign('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  sign('client', 'extendedKeyUsage=clientAuth\n');
  return { ca: at('ca.pem'), cert: at('server.pem'), key: at('server.key'), strangersCa: at('stranger.pem'),
    clientCert: at('client.pem'), clientKey: at('client.key') };
}

// For tests/drivers/bus_tls_test.c, in PARLANCE_TEST_BROKER_CASES: lines of name, expectation and address.
//   works       it is linked, and carries
//   bad: TEXT   opened, never linked, and the log says TEXT
//   refused: TEXT   not even opened
export function brokerCases(cases, password) {
  const lines = cases.map(([name, expectation, url]) => [name, expectation, url].join('\t'));
  return { PARLANCE_TEST_BROKER_CASES: lines.join('\n'), PARLANCE_TEST_BROKER_PASSWORD: password };
}

// The options of an address.
export const options = (all) => `?${Object.entries(all).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
