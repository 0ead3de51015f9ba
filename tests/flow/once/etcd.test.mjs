// Services that find one another through a real etcd: in turn, left when they are killed, left without a failed call when
// they stop, called on while etcd is gone, found again when it is back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Missing, startService } from '../../services/services.mjs';
import { SECRET } from '../grpc_client.mjs';
import { eventually, run, servicePorts, startServer } from '../server.mjs';

async function tryServices(...names) {
  const started = [];
  try {
    for (const name of names) started.push(await startService(name));
    return started;
  } catch (problem) {
    await Promise.all(started.map((server) => server.stop()));
    if (problem instanceof Missing) return [];
    throw problem;
  }
}

const UNITS = ['user', 'auth', 'media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task'];
const [etcd, postgres] = await tryServices('etcd', 'postgres');
const LEASE_MS = 2000;

describe('services found through etcd', { skip: etcd ? false : 'there is no etcd, or no PostgreSQL, here' }, () => {
  let env, front, alice;
  const accounts = [];

  const startAccounts = async () => {
    const server = await startServer({ env, args: ['serve', '--services=user,auth'] });
    accounts.push(server);
    return server;
  };

  before(async () => {
    env = {
      CLUSTER_SECRET: SECRET,
      JWT_SECRET: 'a secret of tokens, the same in all of the processes',
      PARLANCE_GRPC_HOST: '127.0.0.1',
      PARLANCE_STORE_DRIVER: 'postgres',
      PARLANCE_STORE_URL: postgres.url,
      PARLANCE_REGISTRY_TYPE: 'etcd',
      PARLANCE_REGISTRY_ENDPOINTS: etcd.url,
      PARLANCE_REGISTRY_LEASE_S: String(LEASE_MS / 1000),
      PARLANCE_METRICS_PUBLIC: 'true',
      ...servicePorts('GRPC', UNITS),
    };
    await startAccounts();
    await startAccounts();
    front = await startServer({ env, args: ['serve', '--services=media,meeting,signaling,file,message,presence,task,gateway'] });
    alice = await front.register('alice');
  });

  after(async () => {
    await front?.stop({ areErrorsExpected: true });
    await Promise.all(accounts.map((server) => server.isGone || server.stop({ areErrorsExpected: true })));
    await etcd.stop();
    await postgres.stop();
  });

  const me = async () => (await alice.get('/api/v1/users/me')).status;
  const keys = () => etcd.ctl('get', '--prefix', '/parlance/services/', '--keys-only').stdout.split('\n').filter(Boolean);
  const instanceOf = (server) => server.log.map((line) => line.msg.match(/^registry: this process is (\S+) at/)).find(Boolean)[1];

  async function callsAt(server) {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(text.match(/^parlance_rpc_seconds_count\{service="User",method="GetUser"\} (\d+)/m)?.[1] ?? 0);
  }

  // Calls until `during` has ended; the statuses that were not 200.
  async function callWhile(during) {
    const odd = [];
    let isOver = false, calls = 0;
    const callers = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const status = await me();
        calls++;
        if (status !== 200) odd.push(status);
      }
    });
    try {
      await during();
    } finally {
      isOver = true;
      await Promise.all(callers);
    }
    assert.ok(calls > 20, `only ${calls} calls`);
    return odd;
  }

  const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

  test('what stands in etcd', () => {
    const [first] = accounts;
    assert.ok(keys().includes(`/parlance/services/parlance-user/${instanceOf(first)}`));
    assert.equal(keys().filter((key) => key.startsWith('/parlance/services/parlance-auth/')).length, 2);
    const value = JSON.parse(etcd.ctl('get', '--print-value-only', `/parlance/services/parlance-auth/${instanceOf(first)}`).stdout);
    assert.equal(value.service_name, 'parlance-auth');
    assert.equal(value.address, '127.0.0.1');
    assert.ok(value.port > 0);
    assert.equal(value.instance_id, instanceOf(first));
    assert.ok(value.metadata.version);
  });

  test('they are called in turn', async () => {
    const before_ = await Promise.all(accounts.map(callsAt));
    for (let i = 0; i < 40; i++) assert.equal(await me(), 200);
    const after_ = await Promise.all(accounts.map(callsAt));
    after_.forEach((count, i) => assert.ok(count - before_[i] >= 15, `${before_} ${after_}`));
  });

  test('one that comes is called, one that stops is left without a failed call', async () => {
    const [first] = accounts;
    const odd = await callWhile(async () => {
      const third = await startAccounts();
      await eventually(async () => assert.ok(await callsAt(third) > 5), { ms: 5000 });
      await first.stop();
      first.isGone = true;
      await sleep(300);
    });
    assert.deepEqual(odd, []);
    assert.equal(keys().filter((key) => key.endsWith(instanceOf(first))).length, 0);
  });

  test('one that is killed is left within seconds', async () => {
    const second = accounts[1];
    const odd = await callWhile(async () => {
      await sleep(200);
      await second.stop({ signal: 'SIGKILL' });
      second.isGone = true;
      await sleep(500);
    });
    assert.ok(odd.length <= 4, `${odd.length} failed: ${odd}`); // those under way on it, at most
    assert.deepEqual(await callWhile(() => sleep(500)), []);
    await eventually(() => assert.equal(keys().filter((key) => key.endsWith(instanceOf(second))).length, 0),
      { ms: LEASE_MS + 3000 });
  });

  describe('options that change while it runs', () => {
    const config = (...args) => run(['config', ...args], { env });
    const register = async (name) => (await front.client().post('/api/v1/auth/register',
      { username: name, password: 'long enough a password' })).status;

    test('one that is set holds everywhere, at once', async () => {
      assert.equal(await register('bob'), 201);
      assert.equal(config('set', 'auth.registration', 'closed').status, 0);
      await eventually(async () => assert.equal(await register('carol'), 403), { ms: 10_000 });
      assert.match(config('list').stdout, /^auth\.registration +closed +\(registry\)$/m);
      assert.match(config('list').stdout, /^meeting\.capacity +500$/m);
      config('set', 'meeting.capacity', '7');
      await eventually(async () => assert.equal((await alice.post('/api/v1/meetings', { title: 'x' })).body.capacity, 7));
      config('set', 'log.level', 'debug');
      await eventually(async () => { await me(); assert.ok(front.log.some((line) => line.level === 'debug')); });
      const late = await startAccounts();
      assert.ok(late.log.some((line) => /auth.registration is now closed/.test(line.msg)));
      await late.stop();
      late.isGone = true;
    });

    test('a value that does not fit is refused, and the former one stays', async () => {
      const wrong = config('set', 'auth.registration', 'shut');
      assert.equal(wrong.status, 1);
      assert.match(wrong.stderr, /auth\.registration: expected one of open, invitation, closed, found "shut"/);
      assert.match(config('set', 'http.port', '80').stderr, /no option that changes while the servers run/);
      assert.equal(config('set', 'no.such', '1').status, 1);
      etcd.ctl('put', '/parlance/config/auth.registration', 'shut');
      etcd.ctl('put', '/parlance/config/meeting.capacity', '1');
      etcd.ctl('put', '/parlance/config/http.port', '80');
      await eventually(() => {
        const said = front.log.map((line) => line.msg).join('\n');
        assert.match(said, /is refused, the former one stays: auth.registration: expected one of/);
        assert.match(said, /is refused, the former one stays: meeting.capacity: expected a whole number from 2/);
        assert.match(said, /the registry sets http.port, which is no option that changes/);
      });
      assert.equal(await register('carol'), 403);
      assert.equal((await alice.post('/api/v1/meetings', { title: 'x' })).body.capacity, 7);
    });

    test('what is unset is again as the file has it', async () => {
      for (const key of ['auth.registration', 'meeting.capacity', 'log.level'])
        assert.equal(config('unset', key).status, 0);
      await eventually(async () => assert.equal(await register('carol'), 201), { ms: 10_000 });
      await eventually(async () => assert.equal((await alice.post('/api/v1/meetings', { title: 'x' })).body.capacity, 500));
    });

    test('without a registry it says so', () => {
      assert.match(run(['config', 'list'], {}).stderr, /expected registry.type etcd/);
      assert.equal(config('show').status, 2);
    });
  });

  test('etcd may go: what runs runs on, and who comes later is found when it is back', async () => {
    assert.deepEqual(await callWhile(async () => {
      await etcd.end('SIGKILL');
      await sleep(LEASE_MS + 1000);
    }), []);
    const fourth = await startAccounts(); // without etcd
    etcd.start();
    await eventually(async () => { await me(); assert.ok(await callsAt(fourth) > 0); }, { ms: 10_000 });
    assert.deepEqual(await callWhile(() => sleep(LEASE_MS + 500)), []);
  });

  test('a target etcd:// names a service there', async () => {
    const other = await startServer({
      env: { ...env, PARLANCE_SERVICES_REMOTE: 'user=etcd://parlance-user,auth=etcd://no-such-auth' },
      args: ['serve', '--services=media,meeting,signaling,file,message,presence,task,gateway'],
    });
    const client = other.client();
    client.token = alice.token;
    assert.equal((await client.get('/api/v1/users/me')).status, 503); // nobody is called no-such-auth
    const { port } = JSON.parse(etcd.ctl('get', '--print-value-only', '--prefix', '--limit=1', '/parlance/services/parlance-auth/').stdout);
    etcd.ctl('put', '/parlance/services/no-such-auth/x', JSON.stringify({ address: '127.0.0.1', port }));
    await eventually(async () => assert.equal((await client.get('/api/v1/users/me')).status, 200), { ms: 5000 });
    await other.stop({ areErrorsExpected: true });
  });
});
