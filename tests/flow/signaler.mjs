// One participant's signaling socket: frames with ids answered as promises, events in a queue, the close as a promise.
//
//   const wire = await Signaler.open(server, alice);           // signed in by header; {token: null}: not at all
//   const room = await wire.join(meeting);                      // room_joined, or waiting
//   const event = await wire.next('participant_joined');
//   assert.equal((await wire.closed).code, 1000);
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const WebSocket = createRequire(import.meta.url)('ws');
const PATIENCE_MS = 5000;

// Rejects with a word about what was waited for; the stack is that of whoever waited.
function inTime(promise, what, ms = PATIENCE_MS) {
  const problem = new Error(`waited in vain for ${what}`);
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(problem), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Signaler {
  constructor(socket) {
    this.socket = socket;
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
    socket.on('message', (data, isBinary) => {
      assert.equal(isBinary, false);
      this.take(JSON.parse(data.toString()));
    });
    socket.on('error', () => {});
  }

  static async open(server, client, { token = client?.token, headers = {}, protocol = 'parlance.signaling.v1', base, ...options } = {}) {
    const socket = new WebSocket(`${base ?? server.wsUrl}/ws/signaling`, protocol, {
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers }, ...options,
    });
    const wire = new Signaler(socket);
    await inTime(new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (request, response) => {
        reject(Object.assign(new Error(`refused: ${response.statusCode}`), { status: response.statusCode, response }));
      });
      socket.once('error', reject);
    }), 'the socket to open');
    return wire;
  }

  take(frame) {
    if (frame.id !== undefined && this.answers.has(frame.id)) {
      this.answers.get(frame.id).resolve(frame);
      this.answers.delete(frame.id);
      return;
    }
    const waiter = this.waiters.findIndex((w) => w.isWanted(frame));
    if (waiter < 0) this.events.push(frame);
    else this.waiters.splice(waiter, 1)[0].resolve(frame);
  }

  send(frame) { this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)); }

  // The answer, whatever it is.
  ask(type, fields = {}) {
    this.lastId += 1;
    const id = this.lastId;
    const answer = new Promise((resolve, reject) => { this.answers.set(id, { resolve, reject }); });
    this.send({ type, id, ...fields });
    return inTime(answer, `the answer to ${type}`);
  }

  async ok(type, fields) {
    const answer = await this.ask(type, fields);
    assert.equal(answer.type, 'ok', JSON.stringify(answer));
    return answer;
  }

  async refused(type, fields, code, pattern) {
    const answer = await this.ask(type, fields);
    assert.equal(answer.type, 'error', JSON.stringify(answer));
    assert.equal(answer.code, code, answer.message);
    assert.ok(answer.message.length > 3 && answer.request_id);
    if (pattern) assert.match(answer.message, pattern);
    return answer;
  }

  async join(meeting, { resumeToken } = {}) {
    const answer = await this.ask('join_room', { meeting_id: meeting.id, ...(resumeToken ? { resume_token: resumeToken } : {}) });
    assert.ok(['room_joined', 'waiting'].includes(answer.type), JSON.stringify(answer));
    return answer;
  }

  // The next event of that type (and kind), already here or yet to come.
  next(type, isWanted = () => true, ms = PATIENCE_MS) {
    const fits = (frame) => frame.type === type && isWanted(frame);
    const at = this.events.findIndex(fits);
    if (at >= 0) return Promise.resolve(this.events.splice(at, 1)[0]);
    return inTime(new Promise((resolve, reject) => { this.waiters.push({ isWanted: fits, resolve, reject }); }), `event ${type}`, ms);
  }

  // Everything sent before this has been worked on, and its events are here. Says whether such an event came.
  async has(type) {
    await this.ask('ping');
    return this.events.some((frame) => frame.type === type);
  }

  async ends(code) {
    const how = await inTime(this.closed, `close ${code}`);
    assert.equal(how.code, code, how.reason);
    return how;
  }

  // The network is gone: no close frame.
  cut() {
    this.socket._socket.destroy();
    return this.closed;
  }

  close() { this.socket.close(); }
}
