// Services in processes of their own: the ports on which people find them, and what operators ask there.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SECRET } from './grpc_client.mjs';
import { Client, makeDataDir, servicePorts, startServer } from './server.mjs';

const grpc = {
  CLUSTER_SECRET: SECRET,
  PARLANCE_GRPC_HOST: '127.0.0.1',
  ...servicePorts('GRPC', ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task']),
};
const logged = (server, pattern) => server.log.map((line) => line.msg.match(pattern)).find(Boolean);
const portIn = (server, pattern) => Number(logged(server, pattern)?.[1]);
const statusOf = async (port, target) => (await fetch(`http://127.0.0.1:${port}${target}`)).status;

describe('ports', () => {
  let server;
  before(async () => {
    server = await startServer({
      env: { ...grpc, PARLANCE_MANAGEMENT_HOST: '127.0.0.1', PARLANCE_MANAGEMENT_PORT: '0' },
      args: ['serve', '--services=user,meeting,auth'],
    });
  });
  after(() => server.stop());

  test('each service that has one is served there, with what operators ask', async () => {
    const ports = ['user', 'meeting'].map((name) => portIn(server, new RegExp(`^HTTP: ${name} on port (\\d+)$`)));
    assert.equal(ports[0], server.port);
    assert.notEqual(ports[0], ports[1]);
    for (const port of ports) {
      assert.equal(await statusOf(port, '/health'), 200);
      assert.equal(await statusOf(port, '/ready'), 200);
      assert.equal(await statusOf(port, '/api/v1/users/me'), 401);
      assert.equal(await statusOf(port, '/api/v1/meetings'), 401);
      assert.equal(await statusOf(port, '/api/v1/conversations'), 404); // of a service that is elsewhere
    }
    assert.equal(logged(server, /^HTTP: auth/), undefined); // has none unless one is configured
  });

  test('management on an address of its own takes the metrics away', async () => {
    const port = portIn(server, /^management on port (\d+)$/);
    assert.equal(await statusOf(server.port, '/metrics'), 404);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /^parlance_net_connections\{server="management"\}/m);
    assert.equal(await statusOf(port, '/health'), 200);
    assert.equal(await statusOf(port, '/ready'), 200);
    assert.equal(await statusOf(port, '/api/v1/users/me'), 404);
    assert.equal(await statusOf(port, '/openapi.json'), 404);
    assert.equal((await fetch(`http://127.0.0.1:${port}/health`, { method: 'POST' })).status, 405);
  });

  test('a process may have no HTTP at all, and takes its file by one dash', async () => {
    const file = path.join(makeDataDir(), 'auth.yaml');
    writeFileSync(file, 'services:\n  run: [auth, presence]\nmanagement:\n  host: 127.0.0.1\n  port: 0\n');
    const quiet = await startServer({ env: { ...grpc }, args: ['serve', `-config=${file}`] });
    assert.ok(logged(quiet, /is ready: without HTTP, data in/));
    assert.equal(await statusOf(portIn(quiet, /^management on port (\d+)$/), '/ready'), 200);
    await quiet.stop();
  });

  test('all is the default, and one may say it', async () => {
    const all = await startServer({ args: ['serve', '--services', 'all'] });
    assert.equal(await statusOf(all.port, '/api/v1/conversations'), 401);
    assert.equal(logged(all, /^HTTP: /), undefined);
    await all.stop();
  });

  test('a gateway without signaling says where /ws/signaling is', async () => {
    const gateway = await startServer({
      env: { ...grpc, PARLANCE_SERVICES_REMOTE: 'signaling=127.0.0.1:9' },
      args: ['serve', '--services=user,auth,media,meeting,file,message,presence,task,gateway'],
    });
    const reply = await new Client(gateway.url).get('/ws/signaling');
    assert.deepEqual([reply.status, reply.body.error.code], [501, 'unimplemented']);
    assert.match(reply.body.error.message, /send \/ws\/signaling to the signaling processes/);
    assert.equal(await statusOf(gateway.port, '/ws/im'), 426); // this one it has
    await gateway.stop();
  });
});
