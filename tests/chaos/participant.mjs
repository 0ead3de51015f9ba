// Somebody in a meeting, whose client does what the page does (web/src/meeting/signal.ts, session.ts): keeps the signaling socket
// alive and comes back with the resume token; begins media anew when it is told to; looks after the socket when media stop.
import { Signaler } from '../flow/signaler.mjs';
import { inTime } from '../flow/wire.mjs';
import { answerTo, offerOf, remoteOf } from './sdp.mjs';

// The page's.
const OPEN_MS = 8000;
const REQUEST_MS = 10_000;
const PING_EVERY_MS = 3000;
const SILENCE_MS = 7000;
const PROBE_MS = 3000;
const BACKOFF = { firstMs: 400, mostMs: 8000 };
// Chromium calls a connection lost when nothing came for about that long.
const MEDIA_LOST_MS = 5000;

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function backoffMs(attempt) {
  const most = Math.min(BACKOFF.mostMs, BACKOFF.firstMs * 2 ** Math.min(attempt, 10));
  return most / 2 + (most / 2) * Math.random();
}

// A socket that says when it was last heard.
class Line extends Signaler {
  take(frame) {
    this.heardAt = Date.now();
    if (!this.onFrame?.(frame)) super.take(frame);
  }
}

export class Participant {
  // number: its place among all of the run, and what its media are marked with. say: notes what happens to it.
  constructor({ number, server, client, meeting, media, say }) {
    Object.assign(this, { number, server, client, meeting, media, say, attempt: 0, isOver: false, work: Promise.resolve(), name: client.user.username });
  }

  // Until stop(): in the meeting, whatever it takes.
  async live() {
    while (!this.isOver) {
      let waitMs;
      try {
        waitMs = await this.once();
      } catch (problem) {
        this.say(`${this.name}: ${problem.message}`);
        waitMs = backoffMs(this.attempt++);
      }
      this.wire?.socket.terminate();
      if (!this.isOver) await pause(waitMs);
    }
    this.closeMedia();
  }

  // One socket, from its opening to its end; how long to wait before the next.
  async once() {
    this.closingMs = 0;
    const wire = await inTime(Line.open(this.server, this.client, { handshakeTimeout: OPEN_MS }), 'a socket', OPEN_MS + 500);
    this.wire = wire;
    wire.heardAt = Date.now();
    wire.onFrame = (frame) => this.onFrame(frame);
    const room = await inTime(wire.ask('join_room', { meeting_id: this.meeting.id, ...(this.resumeToken && { resume_token: this.resumeToken }) }),
      'the room', REQUEST_MS);
    if (room.type !== 'room_joined') {
      await this.askAgain(room);
      throw new Error(`was not let in: ${room.code} ${room.message}`);
    }
    this.attempt = 0;
    const beat = setInterval(() => this.beat(wire), PING_EVERY_MS);
    const { code, reason } = await wire.closed.finally(() => clearInterval(beat));
    this.say(`${this.name}: closed: ${code} ${reason}`);
    if (this.closingMs) return this.closingMs;
    return code === 1001 ? 500 + Math.random() * 2500 : backoffMs(this.attempt++);
  }

  // The room does not know us: perhaps the meeting has to be joined first.
  async askAgain({ code }) {
    if (!['permission_denied', 'failed_precondition', 'not_found'].includes(code)) return;
    this.resumeToken = undefined;
    await inTime(this.client.post(`/api/v1/meetings/${this.meeting.id}/join`), 'to be asked in', REQUEST_MS);
  }

  beat(wire) {
    if (Date.now() - wire.heardAt > SILENCE_MS) wire.socket.terminate();
    else wire.ask('ping').catch(() => {});
  }

  // Nothing is heard of the others: does the socket live at all?
  probe() {
    const { wire } = this;
    if (!wire || wire.over || this.probed > Date.now() - MEDIA_LOST_MS) return;
    this.probed = Date.now();
    const asked = Date.now();
    wire.ask('ping').catch(() => {});
    setTimeout(() => wire.heardAt < asked && wire.socket.terminate(), PROBE_MS);
  }

  // True: an event that is ours, and nobody else waits for it. That we are in is noted here, before anything that came in the same
  // packet: an offer must not be taken for one of before.
  onFrame(frame) {
    if (frame.type === 'room_joined') this.onJoined(frame);
    if (frame.id !== undefined) return false;
    if (frame.type === 'offer') this.queue(() => this.onOffer(frame));
    else if (frame.type === 'server_closing') this.closingMs = frame.retry_after_ms + 500 + Math.random() * 2500;
    return true;
  }

  onJoined(room) {
    this.resumeToken = room.resume_token;
    const isSame = room.is_resumed && room.session_id === this.session;
    this.session = room.session_id;
    this.say(`${this.name}: ${isSame ? 'resumed' : 'joined'}, ${room.participants.length} inside`);
    if (!isSame) this.queue(() => this.publish());
  }

  // One after the other; what fails is said and left to whatever comes next.
  queue(work) { this.work = this.work.then(work).catch((problem) => this.say(`${this.name}: ${problem.message}`)); }

  closeMedia() {
    for (const endpoint of [this.sending, this.receiving]) this.media.close(endpoint);
    this.sending = this.receiving = null;
  }

  async publish() {
    this.closeMedia();
    const { wire, session } = this;
    const endpoint = await this.media.open();
    const ssrcs = { audioSsrc: 0x10000000 + this.number * 16, videoSsrc: 0x10000001 + this.number * 16 };
    this.sending = endpoint;
    const answer = await wire.ask('offer', {
      sdp: offerOf(endpoint, ssrcs), tracks: [{ mid: '0', source: 'microphone' }, { mid: '1', source: 'camera' }],
    });
    if (this.session !== session) return;
    if (answer.type !== 'answer') throw new Error(`publishing: ${answer.code} ${answer.message}`);
    this.media.connect(endpoint, remoteOf(answer.sdp));
    this.media.publish(endpoint, { source: this.number, ...ssrcs });
  }

  async onOffer(offer) {
    const { wire } = this;
    const remote = remoteOf(offer.sdp);
    if (this.receiving?.remote.ufrag !== remote.ufrag) {
      this.media.close(this.receiving);
      this.receiving = null;
      const endpoint = await this.media.open();
      this.receiving = { ...endpoint, remote };
      this.media.connect(endpoint, remote);
    }
    const answer = await wire.ask('answer', { revision: offer.revision, sdp: answerTo(offer.sdp, this.receiving) });
    if (answer.type !== 'ok') this.say(`${this.name}: an answer was not taken: ${answer.code} ${answer.message}`);
  }

  stop() {
    this.isOver = true;
    this.wire?.socket.terminate();
  }
}
