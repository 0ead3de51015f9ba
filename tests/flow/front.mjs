// What stands before a deployment: one port, each new connection goes to the next gateway in turn, /ws/signaling to
// whoever has it, as a proxy would be told to. In a thread of its own, because tests wait for commands synchronously.
//
//   const front = await startFront({ gateways: ['127.0.0.1:40001', '127.0.0.1:40002'], signaling: ['127.0.0.1:40003'] });
//   front.port; front.set({ gateways: ['127.0.0.1:40001'] }); await front.stop();
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const HEAD_MAX = 8192;
const CONNECT_MS = 1000;
const SHUNNED_MS = 2000; // who did not answer gets no new connection for so long, while there is another

function serve() {
  let { targets } = workerData;
  const { port: wanted = 0 } = targets;
  const turns = { gateways: 0, signaling: 0 };
  const shunned = new Map(); // address -> until when

  function nextOf(kind) {
    const all = targets[kind];
    const good = all.filter((address) => !(shunned.get(address) > Date.now()));
    const among = good.length ? good : all;
    return among[turns[kind]++ % among.length];
  }

  // Nobody there: the next one, as long as none of the request went out.
  function connect(kind, left, done) {
    if (!left || !targets[kind].length) return done(null);
    const address = nextOf(kind);
    const [host, port] = address.split(':');
    const socket = net.connect({ port: Number(port), host, allowHalfOpen: true });
    const failed = () => {
      clearTimeout(patience);
      shunned.set(address, Date.now() + SHUNNED_MS);
      socket.removeListener('error', failed);
      socket.on('error', () => {}).destroy();
      connect(kind, left - 1, done);
    };
    const patience = setTimeout(failed, CONNECT_MS);
    socket.once('error', failed);
    return socket.once('connect', () => { clearTimeout(patience); socket.removeListener('error', failed); done(socket); });
  }

  function join(client, head, kind) {
    client.pause();
    connect(kind, targets[kind].length, (upstream) => {
      if (!upstream) { client.destroy(); return; }
      for (const socket of [client, upstream]) socket.setNoDelay(true);
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.resetAndDestroy?.() ?? client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
      upstream.write(head);
      client.pipe(upstream);
      upstream.pipe(client);
    });
  }

  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    let head = Buffer.alloc(0);
    client.on('error', () => {});
    const onData = (bytes) => {
      head = Buffer.concat([head, bytes]);
      const line = head.indexOf('\n');
      if (line < 0 && head.length < HEAD_MAX && head.length < 16) return;
      client.removeListener('data', onData);
      client.removeListener('end', onEnd);
      join(client, head, /^[A-Z]+ \/ws\/signaling[ ?]/.test(head.toString('latin1')) ? 'signaling' : 'gateways');
    };
    const onEnd = () => { client.removeListener('data', onData); join(client, head, 'gateways'); };
    client.on('data', onData);
    client.once('end', onEnd);
  });
  server.listen(wanted, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));
  parentPort.on('message', (message) => { targets = message; });
}

export async function startFront(targets) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { isFront: true, targets } });
  const { port } = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  worker.unref();
  return { port, set: (next) => worker.postMessage(next), stop: () => worker.terminate() };
}

if (!isMainThread && workerData?.isFront) serve();
