// One device on /ws/im: requests with ids answered as promises, events in a queue, the close as a promise.
//
//   const device = await Talker.open(server, alice);                  // signed in by header; {token: null}: not at all
//   const sent = await device.ok('send_message', { to_user_id, client_msg_id: 'k1', content: { text: 'hello' } });
//   const change = await device.next('change', (c) => c.type === 'message');
import assert from 'node:assert/strict';
import { Wire, connect, inTime } from './wire.mjs';

const plain = { protocol: 'parlance.v1.json', encode: (frame) => JSON.stringify(frame), decode: (data) => JSON.parse(data.toString()) };

export class Talker extends Wire {
  constructor(socket, coding) {
    super(socket, coding.decode);
    this.coding = coding;
  }

  // Ready for whatever happens, unless it is not signed in.
  static async open(server, client, { token = client?.token, coding = plain, ...options } = {}) {
    const { socket, opened } = connect(`${server.wsUrl}/ws/im`, coding.protocol, token, options);
    const device = new this(socket, coding);
    await inTime(opened, 'the socket to open');
    if (token) await device.next('ready');
    return device;
  }

  send(frame) { this.socket.send(typeof frame === 'string' ? frame : this.coding.encode(frame)); }

  // The whole answering frame, whatever it says.
  ask(method, request = {}) {
    return this.request((id) => this.send({ id, [method]: request }), method);
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
    return (await this.event((frame) => frame[kind] !== undefined && frame[kind] !== null && isIt(frame[kind]), kind))[kind];
  }

  // A message that was accepted: as a change, or in the log where it is told that it missed something.
  async hears(conversation, text) {
    const isIt = (change) => change?.conversation_id === conversation && change.message?.content?.text === text;
    this.events = this.events.filter((frame) => !frame.missed);
    const frame = await this.event((one) => one.missed || isIt(one.change), `“${text}”, or missed`);
    if (frame.change) return;
    const { messages } = await this.ok('get_message_history', { id: conversation });
    assert.ok(messages.some((m) => m.content.text === text), `${text} is in the log`);
  }

  // Everything before this has been answered and told: what is not there now does not come.
  async settle() { await this.ok('ping'); }

  say(conversation, text, key = `k${Math.random()}`) {
    return this.ok('send_message', { conversation_id: conversation, client_msg_id: key, content: { text } });
  }
}
