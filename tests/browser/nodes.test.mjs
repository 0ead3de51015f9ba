// Two media nodes, and one of them dies in the middle of a meeting: everybody sees and hears everybody again, over the
// other one, without touching anything.
import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { Missing, freePort, startService } from '../services/services.mjs';
import { SECRET } from '../flow/grpc_client.mjs';
import { startServer } from '../flow/server.mjs';
import { scene, setUp } from './stage.mjs';

async function tryService(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (problem instanceof Missing) return null;
    throw problem;
  }
}

const [postgres, redis] = [await tryService('postgres'), await tryService('redis')];
const nodes = new Map(); // UDP port -> Server

describe('two media nodes', { skip: postgres && redis ? false : 'there is no PostgreSQL, or no Redis' }, () => {
  setUp(async () => {
    const shared = {
      PARLANCE_STORE_DRIVER: 'postgres', PARLANCE_STORE_URL: postgres.url, PARLANCE_EVENT_BUS_TYPE: 'redis',
      PARLANCE_EVENT_BUS_URL: redis.url, CLUSTER_SECRET: SECRET, PARLANCE_GRPC_HOST: '127.0.0.1',
      JWT_SECRET: 'a secret that only these tests know, long enough',
    };
    const remotes = [];
    const rest = ['user', 'auth', 'meeting', 'signaling', 'file', 'message', 'presence', 'task', 'gateway'];
    for (let i = 0; i < 2; i++) {
      const [rpc, udp] = [await freePort(), await freePort()];
      remotes.push(`media=127.0.0.1:${rpc}`);
      nodes.set(udp, await startServer({
        args: ['serve', '--services=media'],
        env: { ...shared, PARLANCE_GRPC_PORTS_MEDIA: String(rpc), PARLANCE_MEDIA_PORT: String(udp), PARLANCE_MEDIA_HOST: '127.0.0.1' },
      }));
    }
    return {
      ...shared, PARLANCE_SERVICES_RUN: rest.join(','), PARLANCE_SERVICES_REMOTE: remotes.join(','),
      ...Object.fromEntries(rest.slice(0, -1).map((name) => [`PARLANCE_GRPC_PORTS_${name.toUpperCase()}`, '0'])),
    };
  });

  // After the server that stands on them.
  after(async () => {
    for (const node of nodes.values()) await node.stop({ areErrorsExpected: true });
    await postgres.stop();
    await redis.stop();
  });

  // The UDP port that a page's media goes to now.
  const portOf = (person) => person.page.evaluate(() => {
    const sdp = window.seen.connections.at(-1).remoteDescription.sdp;
    return Number(/candidate:\S+ 1 udp \d+ \S+ (\d+) typ host/.exec(sdp)[1]);
  });

  scene('one dies in the middle of a meeting', async (stage) => {
    const ada = await stage.account('Ada');
    const link = await ada.newMeeting();
    await ada.join();
    const bo = await stage.account('Bo');
    await bo.enter(link);
    await ada.receives('Bo');
    await bo.receives('Ada');
    const port = await portOf(ada);
    assert.equal(await portOf(bo), port);

    const from = Date.now();
    await nodes.get(port).stop({ signal: 'SIGKILL' });
    nodes.delete(port);
    for (const person of [ada, bo])
      await person.page.waitForFunction((former) => {
        const sdp = window.seen.connections.at(-1)?.remoteDescription?.sdp ?? '';
        return sdp && !sdp.includes(` ${former} typ host`);
      }, port, { timeout: 20_000 });
    await ada.receives('Bo');
    await bo.receives('Ada');
    stage.house.lastMs = Date.now() - from;
    assert.ok(stage.house.lastMs < 20_000, `${stage.house.lastMs} ms`);
    for (const person of [ada, bo]) {
      assert.equal(await person.page.locator('.tile').count(), 2);
      const joins = await person.frames('room_joined');
      assert.equal(joins.length, 2, 'the socket stayed');
      assert.deepEqual(await person.frames('participant_left'), []);
    }
    // What is done now is seen on the other side.
    await ada.button('Turn microphone off').click();
    await bo.tile('Ada').getByRole('img', { name: 'Microphone off' }).waitFor();
    console.log(`picture and sound were back after ${stage.house.lastMs} ms`);
  });
});
