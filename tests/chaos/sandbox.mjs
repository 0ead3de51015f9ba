// Where a run lives: a directory of its own for all temporary files and, where the kernel lets us, namespaces of its own for
// network, mounts and process ids. All of it is gone when the run is, however it ends: the last process of the namespaces
// takes them (and whatever was left in them) along, and whoever started it removes the directory.
//
//   process.exit(await inSandbox(['run.mjs']))      // the program again, inside; process.env.PARLANCE_CHAOS_NETWORK says 'yes' or why not
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const OWN = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
// A /run of our own: names of network namespaces (/run/netns) are nobody else's.
const PREPARE = 'mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up';
const PROBE = `${PREPARE} && ip link add probe type bridge && ip netns add probe && ip link add one type veth peer name two netns probe `
  + '&& nsenter --net=/run/netns/probe setpriv --clear-groups true';

// 'yes', or why there are no namespaces here.
function probe() {
  if (process.getuid() !== 0) return 'not root';
  const done = spawnSync('unshare', [...OWN, 'sh', '-c', PROBE], { encoding: 'utf8', timeout: 20_000 });
  if (done.error) return done.error.code === 'ENOENT' ? 'there is no unshare' : done.error.message;
  return done.status === 0 ? 'yes' : (done.stderr.trim().split('\n').at(-1) || `unshare ended with ${done.status}`);
}

// mustBeApart: 77 without namespaces, and the reason.
export async function inSandbox(program, { mustBeApart = false } = {}) {
  const network = probe();
  if (mustBeApart && network !== 'yes') {
    console.log(`skipped: no network namespaces: ${network}`);
    return 77;
  }
  const dir = mkdtempSync(path.join(tmpdir(), 'parlance-chaos-'));
  chmodSync(dir, 0o755); // the engines run as users of their own
  const env = { ...process.env, TMPDIR: dir, PARLANCE_CHAOS_NETWORK: network };
  // The shell stays, as process 1: it takes in what others leave behind.
  const [command, ...args] = network === 'yes'
    ? ['unshare', ...OWN, 'sh', '-c', `${PREPARE} || exit 70; "$@"; exit $?`, 'sh', process.execPath, ...program]
    : [process.execPath, ...program];
  const child = spawn(command, args, { env, stdio: 'inherit' });
  // In namespaces nothing outlives `unshare`; without, the run stops what it started.
  const end = () => child.kill(network === 'yes' ? 'SIGKILL' : 'SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(signal ? 130 : code));
    });
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
