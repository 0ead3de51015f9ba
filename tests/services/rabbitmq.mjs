// A real RabbitMQ in a directory of its own, with an epmd of its own: see services.mjs.
import { spawn } from 'node:child_process';
import { brokerCases, makeCertificates, options, writeFor } from './certificates.mjs';
import { freePort } from './ports.mjs';
import { Service, findProgram } from './service.mjs';

// Erlang's programs find one another by epmd; a second one of it, that nobody else's programs see, ends with the server.
function startEpmd(server, port) {
  const [program, ...args] = server.entered([findProgram('epmd', ['/usr/bin']), '-port', String(port), '-address', '127.0.0.1']);
  server.epmd = spawn(program, args, { ...server.as, stdio: 'ignore' });
  const { stop } = server;
  server.stop = async () => {
    await stop.call(server);
    server.epmd.kill('SIGTERM');
  };
}

// Over TLS at two addresses, of which the certificate names one; and where a certificate is asked for, everybody must show
// one: all do, but for the case that does not.
async function secureListeners(server) {
  const tls = makeCertificates(server);
  const port = await freePort();
  const { ca, strangersCa } = tls;
  const mine = { cert: tls.clientCert, key: tls.clientKey };
  const address = (more, { password = server.password, place = '127.0.0.1', vhost = '%2f' } = {}) =>
    `amqps://parlance:${password}@${place}:${port}/${vhost}${options(more)}`;
  server.env = brokerCases([
    ['by address', 'works', address({ ca, ...mine })],
    ["by name, in RabbitMQ's words", 'works', address({ cacertfile: ca, certfile: mine.cert, keyfile: mine.key }, { place: 'localhost' })],
    ['another authority', 'bad: name who signed it by ca=FILE', address({ ca: strangersCa, ...mine })],
    ['another name', 'bad: call it by a name that its certificate bears', address({ ca, ...mine }, { place: '127.0.0.2' })],
    ['no certificate of ours', 'bad: look at ca=, cert= and key=', address({ ca })],
    ['a wrong password', 'bad: look at user, password', address({ ca, ...mine }, { password: 'wrong' })],
    ['no such virtual host', 'bad: vhost nowhere not found', address({ ca, ...mine }, { vhost: 'nowhere' })],
    ['no such file', 'refused: no usable certificate of an authority', address({ ca: `${ca}.not` })],
    ['a certificate without a key', 'refused: expected an address', address({ ca, cert: mine.cert })],
    ['an authority without TLS', 'refused: expected an address', `amqp://127.0.0.1:${port}/${options({ ca })}`],
  ], server.password);
  return `listeners.ssl.1 = 127.0.0.1:${port}\nlisteners.ssl.2 = 127.0.0.2:${port}\nssl_options.cacertfile = ${ca}\n`
    + `ssl_options.certfile = ${tls.cert}\nssl_options.keyfile = ${tls.key}\nssl_options.verify = verify_peer\n`
    + 'ssl_options.fail_if_no_peer_cert = true\n';
}

export async function startRabbitmq({ tls = false, at } = {}) {
  const program = findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin']);
  const server = new Service('rabbitmq', ['rabbitmq', 'nobody'], at);
  server.stopSignal = 'SIGTERM';
  server.port = await freePort();
  const [epmdPort, distPort] = [await freePort(), await freePort()];
  const config = writeFor(server, 'rabbitmq.conf', `listeners.tcp.1 = ${server.host}:${server.port}\ndefault_user = parlance\ndefault_pass = ${server.password}\n`
    + 'log.console = true\nlog.console.level = info\nlog.file = false\nvm_memory_high_watermark.absolute = 512MB\n'
    + `disk_free_limit.absolute = 10MB\n${tls ? await secureListeners(server) : ''}`);
  startEpmd(server, epmdPort);
  // The script becomes Erlang itself (exec) when it believes to be systemd's: so our pid is the server's.
  server.start('/usr/bin/env', ['-i', `PATH=${process.env.PATH}`, `HOME=${server.dir}`, 'LANG=C.UTF-8', 'RUNNING_UNDER_SYSTEMD=1',
    `ERL_EPMD_PORT=${epmdPort}`, 'ERL_EPMD_ADDRESS=127.0.0.1', `RABBITMQ_NODENAME=parlance-${server.port}@localhost`,
    `RABBITMQ_DIST_PORT=${distPort}`, `RABBITMQ_CONFIG_FILE=${config}`, `RABBITMQ_MNESIA_BASE=${server.dir}/mnesia`,
    `RABBITMQ_LOG_BASE=${server.dir}/log`, 'RABBITMQ_LOGS=-', `RABBITMQ_ENABLED_PLUGINS_FILE=${server.dir}/plugins`,
    `RABBITMQ_PID_FILE=${server.dir}/pid`, 'RABBITMQ_CONF_ENV_FILE=/dev/null', 'RABBITMQ_SCHEDULER_BIND_TYPE=u',
    'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +sbwt none', program]);
  server.url = `amqp://parlance:${server.password}@${server.host}:${server.port}/%2f`;
  server.isReady = () => /Server startup complete/.test(server.output);
  await server.waitReady();
  return server;
}

export const startRabbitmqTls = () => startRabbitmq({ tls: true });
