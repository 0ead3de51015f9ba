// A free port of 127.0.0.1 for a server that is about to start. From below the range of which the kernel gives ports to
// outgoing connections (from 32768 on): of those, one that was free a moment ago may be somebody's when the server comes.
import { randomInt } from 'node:crypto';
import net from 'node:net';

const FIRST = 11_000;
const LAST = 31_999;
const TRIES = 200;

function canListen(port) {
  return new Promise((resolve) => {
    const probe = net.createServer().once('error', () => resolve(false)).listen(port, '127.0.0.1', () => {
      probe.close(() => resolve(true));
    });
  });
}

export async function freePort() {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(FIRST, LAST + 1);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port of ${TRIES} tried`);
}
