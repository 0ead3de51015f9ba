// A wire between a page and the server that can be cut: a plain TCP proxy on a loopback port of its own.
import net from 'node:net';

export class Proxy {
  static async start(target) {
    const proxy = new Proxy(target);
    await new Promise((resolve) => { proxy.listener.listen(0, '127.0.0.1', resolve); });
    return proxy;
  }

  constructor(target) {
    this.target = target;
    this.isCut = false;
    this.pairs = new Set();
    this.listener = net.createServer((near) => this.join(near));
  }

  get url() { return `http://127.0.0.1:${this.listener.address().port}`; }

  join(near) {
    near.on('error', () => near.destroy());
    if (this.isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = net.connect(this.target, '127.0.0.1');
    const pair = { near, far, request: '' };
    this.pairs.add(pair);
    near.once('data', (chunk) => { [pair.request] = chunk.toString('latin1').split('\r\n', 1); });
    far.on('error', () => far.destroy());
    for (const [from, to] of [[near, far], [far, near]]) {
      from.pipe(to);
      from.once('close', () => {
        to.destroy();
        this.pairs.delete(pair);
      });
    }
  }

  // How many connections are open now that began by asking for this path.
  open(path) { return [...this.pairs].filter((pair) => pair.request.startsWith(`GET ${path} `)).length; }

  // Every connection breaks with a reset, and none comes through until mend().
  cut() {
    this.isCut = true;
    for (const { near, far } of this.pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  mend() { this.isCut = false; }

  stop() {
    this.cut();
    return new Promise((resolve) => { this.listener.close(resolve); });
  }
}
