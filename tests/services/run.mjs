// Runs a command with a real server at its side and ends as it does; 77 (skipped) when the server cannot be had.
//   node tests/services/run.mjs postgres build/tests/drivers/store_suite postgres
// The command finds the server in PARLANCE_TEST_POSTGRES_URL (or _MYSQL_URL).
import { spawn } from 'node:child_process';
import { Missing, startService } from './services.mjs';

const [name, program, ...args] = process.argv.slice(2);
if (!program) {
  console.error('usage: node tests/services/run.mjs postgres|mysql COMMAND [ARGUMENT...]');
  process.exit(2);
}

async function start() {
  try {
    return await startService(name);
  } catch (problem) {
    if (!(problem instanceof Missing)) throw problem;
    console.error(`skipped: no ${name} server: ${problem.message}`);
    return process.exit(77);
  }
}

const server = await start();
const env = { ...process.env, [`PARLANCE_TEST_${name.toUpperCase()}_URL`]: server.url,
  [`PARLANCE_TEST_${name.toUpperCase()}_PID`]: String(server.pid) };
const child = spawn(program, args, { env, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
const code = await new Promise((resolve) => {
  child.once('error', (problem) => { console.error(problem.message); resolve(127); });
  child.once('exit', (status, signal) => resolve(signal ? 1 : status));
});
await server.stop();
process.exit(code);
