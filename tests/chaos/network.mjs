// A network of the run's own: a bridge in the run's network namespace, and a namespace for everybody who takes part, joined to
// it by a pair of veth. Who talks to whom is a matter of cables (links up and down) and of neighbours: a permanent entry with
// an address that nobody has loses what goes one way, silently, as a network does.
//
//   const network = new Network(['gateway-1', 'postgres']);
//   network.place('postgres');                     // { host: '10.77.0.3', enter: ['nsenter', ...] }
//   const heal = network.cut('gateway-1');         // no cable
//   const heal = network.lose('gateway-1', 'postgres');    // what goes from the one to the other; '' is where the clients are
//   heal();
import { spawnSync } from 'node:child_process';

const NET = '10.77.0';
const NOBODY = '02:77:00:00:ff:fe';
const BRIDGE = 'chaos0';

function ip(lines, args = []) {
  const done = spawnSync('ip', [...args, '-batch', '-'], { input: `${lines.join('\n')}\n`, encoding: 'utf8', timeout: 20_000 });
  if (done.status !== 0) throw new Error(`ip: ${done.error ?? ''} ${done.stderr.trim()}\n${lines.join('\n')}`);
}

const macOf = (number) => `02:77:00:00:00:${number.toString(16).padStart(2, '0')}`;

export class Network {
  constructor(names) {
    this.numbers = new Map([['', 1], ...names.map((name, i) => [name, i + 2])]);
    ip([`link add ${BRIDGE} address ${macOf(1)} type bridge`, `addr add ${NET}.1/24 dev ${BRIDGE}`, `link set ${BRIDGE} up`]);
    for (const name of names) this.join(name);
  }

  join(name) {
    const number = this.numbers.get(name);
    ip([`netns add ${name}`, `link add veth${number} type veth peer name eth0 address ${macOf(number)} netns ${name}`,
      `link set veth${number} master ${BRIDGE} up`]);
    ip([`addr add ${this.hostOf(name)}/24 dev eth0`, 'link set eth0 up', 'link set lo up'], ['-n', name]);
  }

  get names() { return [...this.numbers.keys()].filter(Boolean); }
  hostOf(name) { return `${NET}.${this.numbers.get(name)}`; }
  place(name) { return { host: this.hostOf(name), enter: ['nsenter', `--net=/run/netns/${name}`, '--'] }; }

  cut(name) {
    const link = `veth${this.numbers.get(name)}`;
    ip([`link set ${link} down`]);
    return () => ip([`link set ${link} up`]);
  }

  lose(from, to) {
    const [args, dev] = from ? [['-n', from], 'eth0'] : [[], BRIDGE];
    const set = (mac, state) => ip([`neigh replace ${this.hostOf(to)} lladdr ${mac} dev ${dev} nud ${state}`], args);
    set(NOBODY, 'permanent');
    return () => set(macOf(this.numbers.get(to)), 'reachable');
  }

  // All that goes out of one, or all that should come to it.
  mute(name) { return this.loseAll(this.others(name).map((other) => [name, other])); }
  deafen(name) { return this.loseAll(this.others(name).map((other) => [other, name])); }
  part(one, other) { return this.loseAll([[one, other], [other, one]]); }

  others(name) { return [...this.numbers.keys()].filter((other) => other !== name); }

  loseAll(pairs) {
    const heals = pairs.map(([from, to]) => this.lose(from, to));
    return () => heals.forEach((heal) => heal());
  }
}
