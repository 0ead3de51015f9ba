// What operators look at: a real Prometheus scrapes two processes with people in them; every query of every dashboard has an
// answer, every rule is one that Prometheus understands, and promtool and amtool have nothing to say.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Missing } from '../../services/services.mjs';
import { startPrometheus } from '../../services/watchers.mjs';
import { eventually, servicePorts, startServer } from '../server.mjs';
import { Signaler } from '../signaler.mjs';
import { Talker } from '../talker.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const deploy = path.join(root, 'deploy');
const SCRAPE_S = 1;
const OTHERS = ['media', 'meeting', 'signaling', 'file', 'message', 'presence', 'task', 'gateway'];

const has = (program) => spawnSync(program, ['--version']).status === 0;

function ok(program, ...args) {
  const done = spawnSync(program, args, { cwd: deploy, encoding: 'utf8' });
  assert.equal(done.status, 0, `${done.stdout}${done.stderr}`);
  return done.stdout;
}

const dashboards = readdirSync(path.join(deploy, 'grafana/dashboards')).map((name) => ({
  name, ...JSON.parse(readFileSync(path.join(deploy, 'grafana/dashboards', name), 'utf8')),
}));
const rules = readFileSync(path.join(deploy, 'prometheus/rules/parlance.yml'), 'utf8');

// Every metric that the program declares.
function declared() {
  const names = new Set(['up', 'ALERTS']);
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.isDirectory()) walk(path.join(dir, entry.name));
      else if (entry.name.endsWith('.c')) {
        const text = readFileSync(path.join(dir, entry.name), 'utf8');
        for (const [, name] of text.matchAll(/"((?:parlance|process)_[a-z0-9_]+)"/g)) names.add(name);
        for (const [, name] of text.matchAll(/XX?\w*\(\s*"?([a-z_0-9]+)"?/g)) names.add(`parlance_sfu_${name}_total`);
      }
    }
  };
  walk(path.join(root, 'src'));
  return names;
}

describe('dashboards and rules as files', () => {
  test('the dashboards are those that tools/dashboards.py writes', () => {
    const done = spawnSync('python3', [path.join(root, 'tools/dashboards.py'), '--check'], { encoding: 'utf8' });
    assert.equal(done.status, 0, done.stderr);
    assert.equal(new Set(dashboards.map((one) => one.uid)).size, dashboards.length);
  });

  test('promtool and its tests of the rules', { skip: has('promtool') ? false : 'no promtool here' }, () => {
    ok('promtool', 'check', 'config', 'prometheus/prometheus.yml');
    ok('promtool', 'check', 'rules', 'prometheus/rules/parlance.yml');
    ok('promtool', 'test', 'rules', 'prometheus/tests/parlance.yml');
    const tested = readFileSync(path.join(deploy, 'prometheus/tests/parlance.yml'), 'utf8');
    for (const [, name] of rules.matchAll(/- alert: (\w+)/g)) assert.ok(tested.includes(`name: ${name}\n`), `${name} has no test`);
  });

  test('amtool', { skip: has('amtool') ? false : 'no amtool here' }, () => {
    ok('amtool', 'check-config', 'alertmanager/alertmanager.yml');
  });
});

describe('a real Prometheus', { skip: has('prometheus') ? false : 'no Prometheus here' }, () => {
  let accounts, rest, prometheus, wires;

  before(async () => {
    const env = {
      CLUSTER_SECRET: 'a-secret-of-this-cluster-that-is-long-enough', PARLANCE_GRPC_HOST: '127.0.0.1',
      ...servicePorts('GRPC', ['user', 'auth', ...OTHERS.slice(0, -1)]),
    };
    accounts = await startServer({ env, args: ['serve', '--services=user,auth'] });
    const portOf = (name) => accounts.output.match(new RegExp(`gRPC: ${name} on port (\\d+)`))[1];
    rest = await startServer({
      env: { ...env, PARLANCE_SERVICES_REMOTE: ['user', 'auth'].map((name) => `${name}=127.0.0.1:${portOf(name)}`).join(',') },
      args: ['serve', `--services=${OTHERS.join(',')}`],
    });
    try {
      prometheus = await startPrometheus(`global: {scrape_interval: ${SCRAPE_S}s, evaluation_interval: ${SCRAPE_S}s}\n`
        + 'rule_files: [rules.yml]\nscrape_configs:\n  - job_name: parlance\n    static_configs:\n'
        + `      - targets: ['127.0.0.1:${accounts.port}', '127.0.0.1:${rest.port}']\n`, { 'rules.yml': rules });
    } catch (problem) {
      if (!(problem instanceof Missing)) throw problem;
    }
    await live();
  });
  after(async () => {
    for (const wire of wires ?? []) await wire.close();
    await prometheus?.stop();
    await rest?.stop();
    await accounts?.stop();
  });

  // People sign in, talk, meet; twice, with a scrape between, so that there is something to take a rate of.
  async function live() {
    const ann = await rest.register('ann');
    const bob = await rest.register('bob');
    const talker = await Talker.open(rest, ann);
    const meeting = (await ann.post('/api/v1/meetings', { title: 'watched' })).body;
    assert.equal((await ann.post(`/api/v1/meetings/${meeting.id}/join`)).status, 200);
    const signaler = await Signaler.open(rest, ann);
    await signaler.join(meeting);
    wires = [talker, signaler];
    for (let i = 0; i < 3; i++) {
      const content = { kind: 'text', text: `watched ${i}` };
      assert.equal((await ann.post('/api/v1/messages', { to_user_id: bob.user.id, client_msg_id: `w${i}`, content })).status, 200);
      await ann.get('/api/v1/users/me');
      await signaler.ask('ping');
      await talker.ok('ping');
      await new Promise((resolve) => { setTimeout(resolve, 2 * SCRAPE_S * 1000); });
    }
  }

  test('both are scraped', async () => {
    await eventually(async () => (await prometheus.query('up == 1')).length === 2, { ms: 10_000, every: 200 });
  });

  test('every query of every dashboard has an answer', async () => {
    const failed = [];
    let count = 0;
    for (const { name, panels } of dashboards) {
      for (const { title, targets } of panels) {
        for (const { expr } of targets) {
          const query = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', `${30 * SCRAPE_S}s`);
          const series = await eventually(async () => {
            const found = await prometheus.query(query);
            return found.length ? found : false;
          }, { ms: 10_000, every: 500 }).catch((problem) => { failed.push(`${name}, ${title}: ${expr}: ${problem.message}`); return []; });
          count += series.length;
        }
      }
    }
    assert.deepEqual(failed, []);
    assert.ok(count > 90, `${count} series`);
  });

  test('every rule is evaluated without a mistake, and none fires', async () => {
    const reply = await (await fetch(`${prometheus.url}/api/v1/rules`)).json();
    const all = reply.data.groups.flatMap((group) => group.rules);
    assert.equal(all.length, rules.match(/- alert: /g).length);
    for (const rule of all) {
      assert.equal(rule.health, 'ok', `${rule.name}: ${rule.lastError}`);
      assert.notEqual(rule.state, 'firing', rule.name);
    }
  });

  test('rules and dashboards name metrics that there are', async () => {
    const known = declared();
    const queries = [rules.replace(/annotations:\n(?: {10}.*\n?)+/g, ''), ...dashboards.map((one) => JSON.stringify(one.panels))];
    const names = new Set(queries.flatMap((text) => text.match(/\b(?:parlance|process)_[a-z0-9_]+\b/g)));
    const scraped = new Set((await (await fetch(`${prometheus.url}/api/v1/label/__name__/values`)).json()).data);
    const unknown = [...names].filter((name) => !scraped.has(name) && !known.has(name.replace(/_(bucket|sum|count)$/, '')));
    assert.deepEqual(unknown, []);
  });
});
