// The media of all participants: one sfu_load (bench/sfu/load), spoken to by lines of JSON. It does ICE, DTLS and SRTP as a
// client does, sends made-up Opus and VP8, and counts what arrives from whom.
//
//   const media = new Media({ program, host });
//   const endpoint = await media.open();                     // { id, ufrag, pwd, fingerprint, host, port }
//   media.connect(endpoint, remote); media.publish(endpoint, { source: 3, audioSsrc, videoSsrc });
//   await media.heard();                                     // Map: endpoint id -> { '3': packets of audio }
import { spawn } from 'node:child_process';

const PLACES = 2000; // LOAD_ENDPOINTS_MAX of the program is 2048
const BITRATE_BPS = 20_000;
const ANSWER_MS = 10_000;

export class Media {
  constructor({ program, host }) {
    Object.assign(this, { host, count: 0, text: '', waiting: [], isOver: false });
    this.child = spawn(program, [], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.child.stdin.on('error', () => {});
    this.child.stdout.setEncoding('utf8').on('data', (text) => this.take(text));
    this.exited = new Promise((resolve) => { this.child.once('exit', () => { this.isOver = true; resolve(); }); });
  }

  take(text) {
    const lines = (this.text + text).split('\n');
    this.text = lines.pop();
    for (const event of lines.map((line) => JSON.parse(line))) {
      const at = this.waiting.findIndex((one) => one.isIt(event));
      if (at >= 0) this.waiting.splice(at, 1)[0].resolve(event);
      else if (event.event === 'connected') this.tell('start');
    }
  }

  tell(what, fields = {}) { this.child.stdin.write(`${JSON.stringify({ do: what, ...fields })}\n`); }

  ask(what, fields, isIt) {
    if (this.isOver) return Promise.reject(new Error('the media client died'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the media client does not answer to ${what}`)), ANSWER_MS);
      this.waiting.push({ isIt, resolve: (event) => { clearTimeout(timer); resolve(event); } });
      this.tell(what, fields);
    });
  }

  open() {
    this.count += 1;
    const id = this.count % PLACES;
    this.tell('close', { id });
    return this.ask('open', { id, host: this.host, is_controlling: true }, (e) => e.event === 'opened' && e.id === id);
  }

  connect(endpoint, remote) { this.tell('connect', { id: endpoint.id, ...remote }); }

  publish({ id }, { source, audioSsrc, videoSsrc }) {
    this.tell('publish', {
      id, source, bitrate_bps: BITRATE_BPS, fps: 2, audio: { ssrc: audioSsrc, pt: 111, mid: '0' }, video: { ssrc: videoSsrc, pt: 96, mid: '1' },
    });
  }

  close(endpoint) { if (endpoint) this.tell('close', { id: endpoint.id }); }

  async heard() {
    const { endpoints } = await this.ask('heard', {}, (e) => e.event === 'heard');
    return new Map(endpoints.map(({ id, audio }) => [id, audio]));
  }

  async stop() {
    this.tell('quit');
    this.child.stdin.end();
    await this.exited;
  }
}
