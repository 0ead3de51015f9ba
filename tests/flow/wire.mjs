// What the test clients of both sockets have in common: requests with ids answered as promises, events in a queue, the close
// as a promise. Talker speaks /ws/im, Signaler /ws/signaling.
import { createRequire } from 'node:module';

const WebSocket = createRequire(import.meta.url)('ws');
export const PATIENCE_MS = 60_000; // many processes on few cores

// Rejects with a word about what was waited for; the stack is that of whoever waited.
export function inTime(promise, what, ms = PATIENCE_MS) {
  const problem = new Error(`waited in vain for ${what}`);
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(problem), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A WebSocket with the token in the header, and the promise that it opens.
export function connect(url, protocol, token, { headers = {}, ...options } = {}) {
  const socket = new WebSocket(url, protocol, {
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers }, ...options,
  });
  const opened = new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (request, response) => {
      reject(Object.assign(new Error(`refused: ${response.statusCode}`), { status: response.statusCode, response }));
    });
    socket.once('error', reject);
  });
  opened.catch(() => {}); // whoever waits for it hears of it
  return { socket, opened };
}

export class Wire {
  constructor(socket, decode) {
    this.socket = socket;
    this.lastId = 0;
    this.answers = new Map();
    this.events = [];
    this.waiters = [];
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.closed.then(({ code, reason }) => {
      this.over = new Error(`closed: ${code} ${reason}`);
      for (const { reject } of [...this.answers.values(), ...this.waiters]) reject(this.over);
    });
    socket.on('message', (data, isBinary) => this.take(decode(data, isBinary)));
    socket.on('error', () => {});
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

  // The frame that answers what `send` sends with the id it is given.
  request(send, what) {
    if (this.over) return Promise.reject(this.over);
    this.lastId += 1;
    const id = this.lastId;
    const answer = new Promise((resolve, reject) => { this.answers.set(id, { resolve, reject }); });
    send(id);
    return inTime(answer, `the answer to ${what}`);
  }

  // The next event that is wanted, already here or yet to come.
  event(isWanted, what, ms) {
    const at = this.events.findIndex(isWanted);
    if (at >= 0) return Promise.resolve(this.events.splice(at, 1)[0]);
    return inTime(new Promise((resolve, reject) => { this.waiters.push({ isWanted, resolve, reject }); }), `event ${what}`, ms);
  }

  close() {
    this.socket.close();
    return this.closed;
  }
}
