// The engines of one run, by the environment of `make chaos`:
//   CHAOS_STORE   postgres, mysql            CHAOS_BROKER  redis, kafka, rabbitmq: events and tasks      CHAOS_ETCD  1, or 3 members
// Redis is always there, as the cache.
import { startEtcdMembers } from '../services/etcd.mjs';
import { Missing, startService } from '../services/services.mjs';

const KNOWN = { CHAOS_STORE: ['postgres', 'mysql'], CHAOS_BROKER: ['redis', 'kafka', 'rabbitmq'], CHAOS_ETCD: ['1', '3'] };

function chosen(name) {
  const value = process.env[name] || KNOWN[name][0];
  if (!KNOWN[name].includes(value)) throw new Error(`${name}=${value}: expected ${KNOWN[name].join(' or ')}`);
  return value;
}

export class Engines {
  constructor() {
    const [store, broker] = [chosen('CHAOS_STORE'), chosen('CHAOS_BROKER')];
    this.etcds = chosen('CHAOS_ETCD') === '3' ? ['etcd-1', 'etcd-2', 'etcd-3'] : ['etcd'];
    this.servers = [...new Set([store, 'redis', broker])];
    this.names = [...this.servers, ...this.etcds];
    // While one of these is away nobody does its work.
    this.single = this.names.filter((name) => this.etcds.length === 1 || !this.etcds.includes(name));
    this.running = {};
    // As tests/flow/deployment.mjs reads it.
    Object.assign(process.env, { PARLANCE_TEST_SHAPE: 'split', PARLANCE_TEST_STORE: store, PARLANCE_TEST_BUS: broker, PARLANCE_TEST_QUEUE: broker });
  }

  // `network` may be null. Throws Missing, and nothing is left running, when one cannot be had.
  async start(network) {
    const place = (name) => network?.place(name);
    try {
      for (const name of this.servers) this.running[name] = await startService(name, { at: place(name) });
      if (this.etcds.length === 1) this.running.etcd = await startService('etcd', { at: place('etcd') });
      else (await startEtcdMembers(this.etcds.map(place))).forEach((member, i) => { this.running[this.etcds[i]] = member; });
    } catch (problem) {
      await this.stop();
      throw problem;
    }
    for (const name of this.servers) process.env[`PARLANCE_TEST_${name.toUpperCase()}_URL`] = this.running[name].url;
    process.env.PARLANCE_TEST_ETCD_URL = this.etcds.map((name) => this.running[name].url).join();
  }

  stop() { return Promise.all(Object.values(this.running).map((engine) => engine.stop())); }
}

export { Missing };
