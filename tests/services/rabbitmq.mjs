// A real RabbitMQ in a directory of its own, with an epmd of its own: see services.mjs.
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Service, findProgram, freePort } from './services.mjs';

// Erlang's programs find one another by epmd; a second one of it, that nobody else's programs see, ends with the server.
function startEpmd(server, port) {
  server.epmd = spawn(findProgram('epmd', ['/usr/bin']), ['-port', String(port), '-address', '127.0.0.1'],
    { ...server.as, stdio: 'ignore' });
  const { stop } = server;
  server.stop = async () => {
    await stop.call(server);
    server.epmd.kill('SIGTERM');
  };
}

export async function startRabbitmq() {
  const program = findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin']);
  const server = new Service('rabbitmq', ['rabbitmq', 'nobody']);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  const [epmdPort, distPort] = [await freePort(), await freePort()];
  const config = path.join(server.dir, 'rabbitmq.conf');
  writeFileSync(config, `listeners.tcp.1 = 127.0.0.1:${server.port}\ndefault_user = parlance\ndefault_pass = ${server.password}\n`
    + 'log.console = true\nlog.console.level = info\nlog.file = false\nvm_memory_high_watermark.absolute = 512MB\n'
    + 'disk_free_limit.absolute = 10MB\n');
  chmodSync(config, 0o644);
  if (server.user) chownSync(config, server.user.uid, server.user.gid);
  startEpmd(server, epmdPort);
  // The script becomes Erlang itself (exec) when it believes to be systemd's: so our pid is the server's.
  server.start('/usr/bin/env', ['-i', `PATH=${process.env.PATH}`, `HOME=${server.dir}`, 'LANG=C.UTF-8', 'RUNNING_UNDER_SYSTEMD=1',
    `ERL_EPMD_PORT=${epmdPort}`, 'ERL_EPMD_ADDRESS=127.0.0.1', `RABBITMQ_NODENAME=parlance-${server.port}@localhost`,
    `RABBITMQ_DIST_PORT=${distPort}`, `RABBITMQ_CONFIG_FILE=${config}`, `RABBITMQ_MNESIA_BASE=${server.dir}/mnesia`,
    `RABBITMQ_LOG_BASE=${server.dir}/log`, 'RABBITMQ_LOGS=-', `RABBITMQ_ENABLED_PLUGINS_FILE=${server.dir}/plugins`,
    `RABBITMQ_PID_FILE=${server.dir}/pid`, 'RABBITMQ_CONF_ENV_FILE=/dev/null', 'RABBITMQ_SCHEDULER_BIND_TYPE=u',
    'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +sbwt none', program]);
  server.url = `amqp://parlance:${server.password}@127.0.0.1:${server.port}/%2f`;
  server.isReady = () => /Server startup complete/.test(server.output);
  await server.waitReady();
  return server;
}
