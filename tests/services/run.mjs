// Runs a command with real servers at its side and ends as it does; 77 (skipped) when one of them cannot be had.
//   node tests/services/run.mjs postgres build/tests/drivers/store_suite postgres
//   node tests/services/run.mjs postgres,redis node --test tests/flow/messages.test.mjs
// The command finds each in PARLANCE_TEST_POSTGRES_URL, PARLANCE_TEST_REDIS_URL (also of redis-tls, redis-cluster) and so on.
import { spawn } from 'node:child_process';
import { Missing, startService } from './services.mjs';

const [names, program, ...args] = process.argv.slice(2);
if (!program) {
  console.error('usage: node tests/services/run.mjs postgres|mysql|redis|...[,...] COMMAND [ARGUMENT...]');
  process.exit(2);
}

const servers = [];
const stopAll = () => Promise.all(servers.map((server) => server.stop()));

async function start(name) {
  try {
    return await startService(name);
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    console.error(`skipped: no ${name} server: ${problem.message}`);
    await stopAll();
    return process.exit(77);
  }
}

const env = { ...process.env };
for (const name of names.split(',')) {
  const server = await start(name);
  servers.push(server);
  const prefix = `PARLANCE_TEST_${name.split('-')[0].toUpperCase()}`;
  env[`${prefix}_URL`] = server.url;
  env[`${prefix}_PID`] = String(server.pid);
  Object.assign(env, server.env);
}
const child = spawn(program, args, { env, stdio: 'inherit' });
// A test that asks for it (by this signal to its parent) has the servers killed and started again on the same data.
process.on('SIGUSR2', () => servers.forEach((server) => server.end('SIGKILL').then(() => server.start())));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
const code = await new Promise((resolve) => {
  child.once('error', (problem) => { console.error(problem.message); resolve(127); });
  child.once('exit', (status, signal) => resolve(signal ? 1 : status));
});
await stopAll();
process.exit(code);
