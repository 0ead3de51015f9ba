// The API's document: valid OpenAPI 3.1 to a linter, the same from the command and from the server, complete.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { run, startServer } from './server.mjs';

const require = createRequire(import.meta.url);
const { Spectral } = require('@stoplight/spectral-core');
const { oas } = require('@stoplight/spectral-rulesets');

const printed = run(['openapi']);
const document = JSON.parse(printed.stdout);

test('a linter finds nothing', async () => {
  assert.equal(printed.status, 0, printed.stderr);
  assert.equal(document.openapi, '3.1.0');
  const spectral = new Spectral();
  spectral.setRuleset({
    extends: [[oas, 'recommended']],
    // Nobody to write to in general; a licence's identifier excludes its URL in 3.1; the summary says it all.
    rules: { 'info-contact': 'off', 'license-url': 'off', 'operation-description': 'off' },
  });
  const found = await spectral.run(printed.stdout);
  assert.deepEqual(found.map((f) => `${f.code} ${f.path.join('.')}: ${f.message}`), []);
});

test('the linter is awake', async () => {
  const broken = structuredClone(document);
  delete broken.info.version;
  delete broken.paths['/api/v1/users/{id}'].put.parameters;
  const spectral = new Spectral();
  spectral.setRuleset({ extends: [[oas, 'recommended']] });
  const codes = (await spectral.run(JSON.stringify(broken))).map((f) => f.code);
  assert.ok(codes.includes('oas3-schema'));
  assert.ok(codes.includes('path-params'));
});

test('the server shows the same', async () => {
  const server = await startServer();
  assert.deepEqual(await (await fetch(`${server.url}/openapi.json`)).json(), document);
  await server.stop();
});

test('every operation says who may, in words of its own', () => {
  const summaries = new Set();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      assert.match(operation['x-who'], /^(anyone|guest|user|admin)$/, `${method} ${path}`);
      const ways = operation.security ?? document.security;
      assert.equal(operation['x-who'] === 'anyone', ways.some((way) => Object.keys(way).length === 0), `${method} ${path}`);
      assert.ok(!summaries.has(operation.summary), operation.summary);
      summaries.add(operation.summary);
    }
  }
  assert.ok(summaries.size >= 40);
});
