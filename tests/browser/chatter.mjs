// What people do with the pages of messages, on a Person of the stage.
import { eventually } from '../flow/server.mjs';
import { PATIENCE_MS } from './stage.mjs';

export const chatter = (person) => new Chatter(person);

// Several pages of one person are several chatters with the same proxy.
export class Chatter {
  constructor(person, page = person.page) {
    this.person = person;
    this.page = page;
  }

  // Calls of the API as this person, for what is only the scene: { method, json }.
  async api(path, { method = 'GET', json } = {}) {
    const { base } = this.person;
    if (!this.token) {
      const csrf = (await this.page.context().cookies(base)).find((c) => c.name === 'parlance_csrf')?.value ?? '';
      const reply = await this.page.request.post(`${base}/api/v1/auth/login`, {
        data: { login: this.person.username, password: `${this.person.username}-password` }, headers: { origin: base, 'x-csrf-token': csrf },
      });
      this.token = (await reply.json()).access_token;
    }
    const reply = await this.page.request.fetch(`${base}/api/v1${path}`, { method, data: json, headers: { authorization: `Bearer ${this.token}` } });
    if (!reply.ok()) throw new Error(`${method} ${path}: ${reply.status()} ${await reply.text()}`);
    return reply.json();
  }

  async open(path = '/c') {
    await this.page.goto(this.person.base + path);
    await this.page.locator('.chat-list[aria-busy=false]').waitFor();
  }

  // By the page's own way: a new message to somebody who is searched by name.
  async begin(name) {
    await this.page.getByRole('button', { name: 'New message' }).first().click();
    const dialog = this.page.getByRole('dialog');
    await dialog.getByRole('combobox').or(dialog.locator('input')).first().fill(name);
    await dialog.getByRole('option', { name: new RegExp(name) }).or(dialog.getByRole('button', { name: new RegExp(name) })).first().click();
    await this.page.locator('.composer textarea').waitFor();
  }

  async choose(title) { await this.page.locator('.conv', { hasText: title }).first().click(); }

  async say(text) {
    await this.page.locator('.composer textarea').fill(text);
    await this.page.locator('.composer textarea').press('Enter');
  }

  bubble(text) { return this.page.locator('.msg', { has: this.page.locator('.msg-text', { hasText: text }) }); }

  async sees(text) { await this.bubble(text).first().waitFor(); }

  // The texts in the thread, in their order.
  texts() { return this.page.locator('.thread .msg .msg-text').allInnerTexts(); }

  // A picture of the ticks on one's own message.
  async isTicked(text, tick) { await this.bubble(text).locator(`.tick.is-${tick}`).waitFor(); }

  async act(text, entry) {
    await this.bubble(text).hover();
    await this.bubble(text).getByRole('button', { name: 'More actions' }).click();
    await this.page.getByRole('menuitem', { name: entry, exact: true }).click();
  }

  until(fn) { return eventually(fn, { ms: PATIENCE_MS, every: 100 }); }
}
