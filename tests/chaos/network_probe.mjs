// Inside a sandbox: says, as JSON lines, who hears whom under each partition (tests/flow/chaos.test.mjs compares).
import { spawn } from 'node:child_process';
import { Network } from './network.mjs';

const PORT = 9000;
const HEARING = `require('dgram').createSocket('udp4').on('message', (m) => console.log(String(m))).bind(${PORT}, '0.0.0.0', () => console.log('up'))`;
// Says each word again and again, for what a neighbour has to be asked for first may be lost.
const SAYING = `const s = require('dgram').createSocket('udp4'); const [word, ...hosts] = process.argv.slice(1); let left = 20;
const t = setInterval(() => { for (const h of hosts) s.send(word, ${PORT}, h, () => {}); if (!--left) { clearInterval(t); s.close(); } }, 10)`;

const network = new Network(['a', 'b', 'c']);
const heard = new Set();
const children = [];
await Promise.all(network.names.map((name) => new Promise((resolve) => {
  const { enter: [program, ...args] } = network.place(name);
  const child = spawn(program, [...args, process.execPath, '-e', HEARING], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  child.stdout.setEncoding('utf8').on('data', (text) => {
    if (text.startsWith('up')) resolve();
    for (const word of text.split('\n').filter((one) => one && one !== 'up')) heard.add(`${word}${name}`);
  });
})));

// 'ab': what a said, b heard; '-a': from where the clients are.
async function hearing() {
  heard.clear();
  await Promise.all(['', ...network.names].map((name) => new Promise((resolve) => {
    const [program, ...args] = name ? network.place(name).enter : ['nsenter', '--'];
    const others = network.names.filter((one) => one !== name).map((one) => network.hostOf(one));
    spawn(program, [...args, process.execPath, '-e', SAYING, name || '-', ...others], { stdio: 'inherit' }).once('exit', resolve);
  })));
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  return [...heard].sort().join(' ');
}

const say = async (what) => console.log(JSON.stringify([what, await hearing()]));
console.log(JSON.stringify(['dir', process.env.TMPDIR]));
await say('whole');
for (const [what, ...who] of [['cut', 'a'], ['mute', 'a'], ['deafen', 'a'], ['part', 'a', 'b']]) {
  const heal = network[what](...who);
  await say(what);
  heal();
  for (let tries = 0; tries < 50 && (await hearing()).split(' ').length < 9; tries += 1);
  await say(`${what}, healed`);
}
for (const child of children) child.kill();
