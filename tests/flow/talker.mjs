// One device on /ws/im: requests with ids answered as promises, events in a queue, the close as a promise.
//
//   const device = await Talker.open(server, alice);                  // signed in by header; {token: null}: not at all
//   const sent = await device.ok('send_message', { to_user_id, client_msg_id: 'k1', content: { text: 'hello' } });
//   const change = await device.next('change', (c) => c.type === 'message');
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const WebSocket = require('ws');
const PATIENCE_MS = 5000;

function inTime(promise, what, ms = PATIENCE_MS) {
  const problem = new Error(`waited in vain for ${what}`);
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(problem), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const plain = { protocol: 'parlance.v1.json', encode: (frame) => JSON.stringify(frame), decode: (data) => JSON.parse(data.toString()) };

export class Talker {
  constructor(socket, coding) {
    this.socket = socket;
    this.coding = coding;
    this.lastId = 0;
    this.answers = new Map();
    this.events = [];
    this.waiters = [];
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.closed.then(({ code, reason }) => {
      for (const { reject } of [...this.answers.values(), ...this.waiters]) reject(new Error(`closed: ${code} ${reason}`));
    });
    socket.on('message', (data) => this.take(coding.decode(data)));
    socket.on('error', () => {});
  }

  // Ready for whatever happens, unless it is not signed in.
  static async open(server, client, { token = client?.token, coding = plain, headers = {}, ...options } = {}) {
    const socket = new WebSocket(`${server.wsUrl}/ws/im`, coding.protocol, {
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers }, ...options,
    });
    const device = new Talker(socket, coding);
    const opened = new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    if (token) await device.next('ready');
    else await inTime(opened, 'the socket to open');
    return device;
  }

  take(frame) {
    if (frame.id !== undefined) {
      this.answers.get(frame.id)?.resolve(frame);
      this.answers.delete(frame.id);
      return;
    }
    const waiter = this.waiters.findIndex((w) => w.isWanted(frame));
    if (waiter < 0) this.events.push(frame);
    else this.waiters.splice(waiter, 1)[0].resolve(frame);
  }

  send(frame) { this.socket.send(typeof frame === 'string' ? frame : this.coding.encode(frame)); }

  // The whole answering frame, whatever it says.
  ask(method, request = {}) {
    this.lastId += 1;
    const id = this.lastId;
    const answer = new Promise((resolve, reject) => { this.answers.set(id, { resolve, reject }); });
    answer.catch(() => {});
    this.send({ id, [method]: request });
    return inTime(answer, `the answer to ${method}`);
  }

  async ok(method, request) {
    const answer = await this.ask(method, request);
    assert.ok(answer[method], JSON.stringify(answer));
    return answer[method];
  }

  async refused(method, request, code) {
    const answer = await this.ask(method, request);
    assert.equal(answer.error?.code, code, JSON.stringify(answer));
    assert.ok(answer.error.message && answer.error.request_id);
    return answer.error;
  }

  // The next event of this kind that is wanted, those that came already included.
  async next(kind, isIt = () => true) {
    const isWanted = (frame) => frame[kind] !== undefined && frame[kind] !== null && isIt(frame[kind]);
    const at = this.events.findIndex(isWanted);
    if (at >= 0) return this.events.splice(at, 1)[0][kind];
    const waiting = new Promise((resolve, reject) => { this.waiters.push({ isWanted, resolve, reject }); });
    waiting.catch(() => {});
    return (await inTime(waiting, `an event ${kind}`))[kind];
  }

  // Everything before this has been answered and told: what is not there now does not come.
  async settle() { await this.ok('ping'); }

  say(conversation, text, key = `k${Math.random()}`) {
    return this.ok('send_message', { conversation_id: conversation, client_msg_id: key, content: { text } });
  }

  async close() {
    this.socket.close();
    return this.closed;
  }
}
