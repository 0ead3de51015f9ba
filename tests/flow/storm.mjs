// A storm: people talk, edit, recall, come and go while the server is killed again and again. Everything they ask, are answered
// and told is written into a history; what it has to look like is history.mjs's to say.
import { History } from './history.mjs';
import { makeDataDir, startServer } from './server.mjs';
import { Talker } from './talker.mjs';

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
// After these a send is made again (docs/messaging.md).
const AGAIN = ['unavailable', 'deadline_exceeded', 'resource_exhausted'];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

// A socket that passes on what it is told, in order.
class Hearing extends Talker {
  take(frame) {
    if (frame.change) this.hears?.(frame.change);
    else super.take(frame);
  }
}

// One person's device: keeps what it must keep (docs/messaging.md), and notes what happens to it.
class Device {
  constructor(storm, client, name) {
    Object.assign(this, { storm, client, name, user: client.user.id, cursor: '', held: new Map(), doubtful: new Map(), own: [], count: 0 });
  }

  note(what, conversation, more) {
    return this.storm.history.add(what, { device: this.name, user: this.user, conversation, ...more });
  }

  async connect(server) {
    this.wire = await Hearing.open(server, this.client);
    this.storm.history.add('ready', { device: this.name, user: this.user });
    this.wire.hears = (change) => this.hear(change);
    await this.catchUp();
  }

  cut() { this.storm.history.add('cut', { device: this.name, user: this.user }); }

  async close() {
    this.cut();
    await this.wire.close();
  }

  hear(change) {
    const id = change.conversation_id;
    this.note('told', id, { is_event: true, change });
    if ((this.held.get(id) ?? 0) === change.prev_rev) this.held.set(id, change.rev);
  }

  async replay(id, asked, first) {
    for (let list = first; ; list = await this.wire.ok('get_changes', { id, after_rev: this.held.get(id) ?? 0, limit: 500 })) {
      for (const change of list.changes) this.note('told', id, { asked, change });
      this.note('passed', id, { rev: list.rev });
      this.held.set(id, Math.max(this.held.get(id) ?? 0, list.rev));
      if (!list.has_more) return;
    }
  }

  // By the cursor alone, or with the conversations that are on the screen.
  async catchUp({ isOpen = Math.random() < 0.5 } = {}) {
    const { conversations } = this.storm;
    const asked = new Map(conversations.map((id) => [id, this.note('asking', id)]));
    const open = isOpen ? conversations.map((id) => ({ conversation_id: id, rev: this.held.get(id) ?? 0 })) : [];
    const reply = await this.wire.ok('sync', { cursor: this.cursor, open });
    for (const [i, { conversation_id: id }] of open.entries()) if (reply.open_changes[i].rev) await this.replay(id, asked.get(id), reply.open_changes[i]);
    for (const one of reply.conversations) {
      if (!asked.has(one.id)) continue;
      this.note('own', one.id, { asked: asked.get(one.id), own: one.own });
      if (one.rev > (this.held.get(one.id) ?? 0))
        await this.replay(one.id, asked.get(one.id), await this.wire.ok('get_changes', { id: one.id, after_rev: this.held.get(one.id) ?? 0, limit: 500 }));
    }
    this.cursor = reply.cursor; // not before what it stands for is here
    for (const id of conversations) this.note('current', id, { asked: asked.get(id) });
  }

  // What has no answer yet is kept, and sent again in its order.
  async send(id, key, text) {
    this.doubtful.set(key, { id, text });
    this.note('send', id, { key, text });
    const answer = await this.wire.ask('send_message', { conversation_id: id, client_msg_id: key, content: { text } });
    if (answer.error && AGAIN.includes(answer.error.code)) { // written or not: it stays in doubt
      this.note('postponed', id, { key });
      this.storm.onRefused?.(answer.error.code);
      return;
    }
    if (answer.error) {
      this.note('refused', id, { key, code: answer.error.code });
      if (!['permission_denied', 'not_found'].includes(answer.error.code)) throw new Error(JSON.stringify(answer));
    } else {
      const { seq, is_duplicate: isDuplicate } = answer.send_message;
      this.note('acked', id, { key, seq, is_duplicate: isDuplicate });
      if (!isDuplicate) this.own.push({ id, seq, key, text });
      this.storm.onAck();
    }
    this.doubtful.delete(key);
  }

  async resend() {
    for (const [key, { id, text }] of [...this.doubtful]) await this.send(id, key, text);
    for (let tries = 0; tries < 60 && this.doubtful.size; tries += 1) {
      await pause(500);
      for (const [key, { id, text }] of [...this.doubtful]) await this.send(id, key, text);
    }
  }

  fresh(id) {
    this.count += 1;
    const key = `${this.name}-${this.count}`;
    return this.send(id, key, key);
  }

  async change(kind, id, more, method, request) {
    const asked = this.note('changing', id, { change: kind, ...more });
    const answer = await this.wire.ask(method, { id, ...request });
    if (answer.error) this.note('unchanged', id, { asked, code: answer.error.code });
    else this.note('changed', id, { asked });
  }

  // One thing that people do; most of it is talk.
  async act() {
    const id = this.storm.group;
    const own = pick(this.own.filter((one) => one.id === id).slice(-20));
    const dice = Math.random();
    if (dice < 0.8 || !own) await Promise.all(Array.from({ length: 1 + Math.floor(Math.random() * 3) }, () => this.fresh(id)));
    else if (dice < 0.84) await this.send(id, own.key, own.text); // it does not know that it was heard
    else if (dice < 0.88) await this.change('edit', id, { seq: own.seq, text: `${own.text} ${this.count}` }, 'edit_message', { seq: own.seq, content: { text: `${own.text} ${this.count}` } });
    else if (dice < 0.91) await this.change('recall', id, { seq: own.seq }, 'recall_message', { seq: own.seq });
    else if (dice < 0.94) await this.change('hide', id, { seq: own.seq }, 'delete_for_me', { seqs: [own.seq] });
    else if (dice < 0.97) await this.mark(id, own.seq);
    else if (this.isOwner) await this.storm.moveSomebody(this);
  }

  async mark(id, seq) {
    const answer = await this.wire.ask('mark_as_read', { id, seq });
    if (!answer.error) this.note('marked', id, { seq });
  }

  // Until the server is gone.
  async talk() {
    try {
      await this.resend();
      while (!this.storm.isQuiet) await this.act();
    } catch (problem) {
      if (!/^closed/.test(problem.message)) throw problem;
    }
  }

  async readAll(id) {
    const asked = this.note('asking', id);
    const pages = [];
    for (let before = 0, more = true; more;) {
      const page = await this.wire.ok('get_message_history', { id, limit: 200, ...(before ? { before_seq: before } : {}) });
      pages.unshift(page.messages);
      more = page.has_older;
      before = page.messages[0]?.seq;
    }
    this.note('read', id, { asked, messages: pages.flat(), is_whole: true });
    return pages.flat();
  }
}

export class Storm {
  constructor({ program, env } = {}) {
    Object.assign(this, { program, env, dataDir: makeDataDir(), history: new History(), devices: [], conversations: [], onAck: () => {} });
  }

  async start() {
    this.server = await startServer({ dataDir: this.dataDir, program: this.program, env: this.env });
  }

  // Four people in a group, of whom the last is moved in and out; two of them also talk in a chat of their own.
  async begin(names = ['ann', 'bob', 'cleo', 'dan']) {
    await this.start();
    const clients = [];
    for (const name of names) clients.push(await this.server.register(name));
    const made = async (title, members) => {
      const reply = await clients[0].post('/api/v1/groups', { kind: 'group', title, user_ids: members.slice(1).map((c) => c.user.id) });
      this.conversations.push(reply.body.id);
      for (const { user } of members) {
        const asked = this.history.add('changing', { conversation: reply.body.id, user: user.id, change: 'join' });
        this.history.add('changed', { conversation: reply.body.id, user: user.id, asked });
      }
      return reply.body.id;
    };
    this.group = await made('Storm', clients);
    this.aside = await made('Aside', clients.slice(0, 2));
    this.devices = clients.map((client) => new Device(this, client, client.user.username));
    this.devices[0].isOwner = true;
    this.tablet = new Device(this, clients[1], 'bob\'s tablet'); // hears, and says nothing
    this.devices.push(this.tablet);
    this.mover = this.devices[names.length - 1];
    return this;
  }

  async moveSomebody(owner) {
    const { user } = this.mover;
    this.isOut = !this.isOut;
    const id = this.group;
    if (this.isOut) await owner.change('leave', id, { user }, 'remove_member', { user_id: user });
    else await owner.change('join', id, { user }, 'add_members', { user_ids: [user] });
  }

  connect() { return Promise.all(this.devices.map((d) => d.connect(this.server))); }

  // Nobody says anything any more: soon everybody who is here has heard all of it.
  async settle() {
    const [owner] = this.devices;
    const here = this.devices.filter((d) => !(this.isOut && d.user === this.mover.user));
    const { rev } = await owner.wire.ok('get_conversation', { id: this.group });
    for (let tries = 0; tries < 250 && here.some((d) => d.held.get(this.group) < rev); tries += 1) await pause(20);
    for (const d of this.devices) {
      await d.wire.settle();
      d.note('settled', this.group, { asked: d.note('asking', this.group) });
    }
  }

  // One message while the tablet is away: the smallest thing that a cursor can miss. It comes back by the cursor alone.
  async whisper() {
    const [ann] = this.devices;
    await this.tablet.catchUp({ isOpen: false });
    await this.tablet.close();
    await ann.fresh(this.aside);
    await this.tablet.connect(this.server);
    await this.tablet.catchUp({ isOpen: false });
  }

  // Talk for a while; then the kill, at some moment or upon some acknowledgement.
  async round() {
    await this.connect();
    this.isQuiet = false;
    const talking = this.devices.filter((d) => d !== this.tablet).map((d) => d.talk());
    const moment = new Promise((resolve) => {
      const patience = setTimeout(resolve, 50 + Math.random() * 350);
      if (Math.random() < 0.5) return;
      let left = 5 + Math.floor(Math.random() * 60);
      this.onAck = () => {
        left -= 1;
        if (left) return;
        clearTimeout(patience);
        resolve();
      };
    });
    await moment;
    await this.kill();
    await Promise.all(talking);
    await this.start();
  }

  async kill() {
    for (const d of this.devices) d.cut();
    await this.server.stop({ signal: 'SIGKILL', keepData: true });
  }

  // Without a kill: live delivery is held to its word, then the cursor.
  async calm() {
    await this.connect();
    this.isQuiet = false;
    const talking = this.devices.filter((d) => d !== this.tablet).map((d) => d.talk());
    await pause(150);
    this.isQuiet = true;
    await Promise.all(talking);
    await this.settle();
    await this.whisper();
    for (const d of this.devices) await d.close();
  }

  // Whoever reads it at the end, and from a device that only ever caught up.
  async end() {
    await this.connect();
    for (const d of this.devices) await d.resend();
    for (const d of this.devices) await d.catchUp();
    let count = 0;
    for (const d of this.devices) count = Math.max(count, (await d.readAll(this.group)).length);
    for (const d of this.devices) await d.close();
    return count;
  }
}
