// A server that webhooks call: keeps what came, answers as told, and holds every delivery to its signature.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { eventually } from './server.mjs';

export class Receiver {
  constructor() {
    this.calls = [];
    this.answers = []; // statuses for the next calls; then 200
    this.takesMs = 0;
    this.server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (part) => { body += part; });
      request.on('end', () => {
        this.calls.push({ method: request.method, url: request.url, headers: request.headers, body });
        const answer = this.answers.shift() ?? 200;
        setTimeout(() => {
          response.writeHead(answer, answer >= 300 && answer < 400 ? { location: 'http://169.254.169.254/' } : {});
          response.end('x');
        }, this.takesMs);
      });
    });
  }

  static async start() {
    const receiver = new Receiver();
    await new Promise((resolve) => { receiver.server.listen(0, '127.0.0.1', resolve); });
    receiver.server.unref(); // a test that failed leaves it open
    return receiver;
  }

  get url() { return `http://127.0.0.1:${this.server.address().port}/hook`; }

  // The first n calls, each checked, as objects.
  async told(n, secret, options) {
    await eventually(() => this.calls.length >= n, options);
    return this.calls.slice(0, n).map((call) => {
      const [, time, signature] = call.headers['x-parlance-signature'].match(/^t=(\d+),v1=([0-9a-f]{64})$/);
      assert.ok(Math.abs(Number(time) - Date.now()) < 60_000);
      assert.equal(createHmac('sha256', secret).update(`${time}.${call.body}`).digest('hex'), signature);
      assert.equal(call.headers['content-type'], 'application/json');
      const told = JSON.parse(call.body);
      assert.equal(call.headers['x-parlance-event'], told.type);
      assert.equal(call.headers['x-parlance-delivery'], `${told.webhook_id}-${told.conversation.id}-${told.change.rev}`);
      return told;
    });
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => { this.server.close(resolve); });
  }
}
