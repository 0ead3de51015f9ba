// One participant's signaling socket: frames with ids answered as promises, events in a queue, the close as a promise.
//
//   const wire = await Signaler.open(server, alice);           // signed in by header; {token: null}: not at all
//   const room = await wire.join(meeting);                      // room_joined, or waiting
//   const event = await wire.next('participant_joined');
//   assert.equal((await wire.closed).code, 1000);
import assert from 'node:assert/strict';
import { Wire, connect, inTime } from './wire.mjs';

function decode(data, isBinary) {
  assert.equal(isBinary, false);
  return JSON.parse(data.toString());
}

export class Signaler extends Wire {
  static async open(server, client, { token = client?.token, protocol = 'parlance.signaling.v1', base, ...options } = {}) {
    const { socket, opened } = connect(`${base ?? server.wsUrl}/ws/signaling`, protocol, token, options);
    const wire = new this(socket, decode);
    await inTime(opened, 'the socket to open');
    return wire;
  }

  send(frame) { this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)); }

  // The answer, whatever it is.
  ask(type, fields = {}) {
    return this.request((id) => this.send({ type, id, ...fields }), type);
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
  next(type, isWanted = () => true, ms = undefined) {
    return this.event((frame) => frame.type === type && isWanted(frame), type, ms);
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
}
