// Somebody with a browser: what they do with the pages, and what they see and hear.
import assert from 'node:assert/strict';
import { eventually } from '../flow/server.mjs';
import { PATIENCE_MS } from './stage.mjs';

let accounts = 0;
// A picture moves and a voice sounds when this much more has come than was there.
const framesMore = 5;
const energyMore = 1e-6;

export class Person {
  constructor(stage, name, page, { base, proxy }) {
    this.stage = stage;
    this.name = name;
    this.page = page;
    this.base = base;
    this.proxy = proxy;
    this.log = [];
    this.pageErrors = [];
    page.on('console', (m) => this.log.push(`${m.type()}: ${m.text()}`));
    page.on('pageerror', (e) => {
      this.pageErrors.push(e.message);
      this.log.push(`page error: ${e.stack}`);
    });
    page.on('requestfailed', (r) => this.log.push(`failed: ${r.method()} ${r.url()}: ${r.failure()?.errorText}`));
    page.on('response', (r) => r.status() >= 400 && this.log.push(`${r.status()}: ${r.request().method()} ${r.url()}`));
  }

  // A link of another's browser, as it looks from this one's way to the server.
  at(link) { return this.base + new URL(link, this.base).pathname + new URL(link, this.base).search; }

  button(name) { return this.page.getByRole('button', { name, exact: typeof name === 'string' }); }

  // ---- accounts ----

  async registerQuietly() {
    this.username = `${this.name.toLowerCase()}${++accounts}`;
    const reply = await this.page.request.post(`${this.base}/api/v1/auth/register`, {
      data: { username: this.username, password: `${this.username}-password`, nickname: this.name },
      headers: { origin: this.base },
    });
    assert.ok(reply.ok(), await reply.text());
    await this.page.goto(`${this.base}/`);
    await this.page.locator('.starter-main').waitFor();
  }

  // ---- the way into a meeting ----

  // By the page's button; gives the link.
  async newMeeting() {
    await this.page.locator('.starter-main').click();
    await this.page.waitForURL(/\/m\//);
    return this.page.url();
  }

  async open(link) {
    await this.page.goto(this.at(link));
    await this.page.locator('.join-btn').waitFor();
  }

  async clickJoin() {
    const button = this.page.locator('.join-btn');
    if (await this.page.locator('input[name=name]').count()) await this.page.fill('input[name=name]', this.name);
    await button.click();
  }

  async join() {
    await this.clickJoin();
    await this.isInside();
  }

  // Follows a link to its meeting, all the way in.
  async enter(link) {
    await this.open(link);
    await this.join();
  }

  async isInside() { await this.page.locator('.meeting .bar').waitFor(); }

  // ---- what is seen ----

  tile(name, kind = 'camera') {
    const tag = kind === 'screen' ? `${name}’s screen` : name;
    return this.page.locator(`.tile[data-kind=${kind}]`).filter({ has: this.page.locator('.tag-name', { hasText: new RegExp(`^${tag}( \\(you\\))?$`) }) });
  }

  async openPeople() {
    const panel = this.page.locator('.panel');
    if (!await panel.count()) await this.page.locator('.bar-side').getByRole('button', { name: /^People/ }).click();
    await panel.waitFor();
  }

  personRow(name) {
    return this.page.locator('.panel .person').filter({ has: this.page.locator('.person-name', { hasText: new RegExp(`^${name}`) }) });
  }

  // An entry of the menu on somebody's tile.
  async pick(name, entry, { isConfirmed = false } = {}) {
    await this.tile(name).hover();
    await this.tile(name).getByRole('button', { name: `More about ${name}` }).click();
    await this.page.getByRole('menuitem', { name: entry, exact: true }).click();
    if (isConfirmed) await this.page.getByRole('dialog').getByRole('button', { name: entry, exact: true }).click();
  }

  async openControls() {
    await this.button('More').click();
    await this.page.getByRole('menuitem', { name: 'Host controls' }).click();
    await this.page.getByRole('dialog').waitFor();
  }

  // Turns a switch of the host's dialog.
  async hostControl(label) {
    await this.openControls();
    const control = this.page.getByRole('switch', { name: label });
    const was = await control.isChecked();
    await control.click();
    await eventually(async () => await control.isChecked() !== was, { ms: PATIENCE_MS });
    await this.page.keyboard.press('Escape');
    await this.page.getByRole('dialog').waitFor({ state: 'detached' });
  }

  // Tries a function of the page (its text runs there) until it gives something true.
  until(what, fn, arg, ms = PATIENCE_MS) {
    return eventually(async () => {
      const found = await this.page.evaluate(fn, arg);
      if (!found) throw new Error(`${this.name}: ${what}: not yet`);
      return found;
    }, { ms, every: 100 });
  }

  // Counters of what comes in: { "Bo camera": { frames }, "Bo microphone": { energy } }.
  async received() {
    const stats = await this.page.evaluate(() => window.seen.inbound());
    return new Map(stats.map((s) => [`${s.who} ${s.source}`, { frames: s.framesDecoded ?? 0, energy: s.totalAudioEnergy ?? 0, packets: s.packetsReceived, codec: s.codec, width: s.frameWidth }]));
  }

  // Waits until pictures and sound of these people go on coming: from now on, not once upon a time.
  async receives(names, { sources = ['camera', 'microphone'], ms = PATIENCE_MS } = {}) {
    const wanted = [names].flat().flatMap((name) => sources.map((source) => `${name} ${source}`));
    const from = await this.received();
    return eventually(async () => {
      const now = await this.received();
      for (const key of wanted) {
        const got = now.get(key);
        const was = from.get(key) ?? { frames: 0, energy: 0 };
        const isMore = /microphone|audio/.test(key) ? got?.energy > was.energy + energyMore : got?.frames >= was.frames + framesMore;
        if (!isMore) throw new Error(`${this.name} does not receive ${key}: ${JSON.stringify({ was, got: got ?? null })}`);
      }
      return now;
    }, { ms, every: 100 });
  }

  // The room's frames of a type that came to this page.
  frames(type) { return this.page.evaluate((t) => window.seen.frames.filter((f) => f.type === t), type); }

  // Nothing went wrong in silence: no exception, no error in the console but of the network, no breach of the content policy.
  async assertClean() {
    assert.deepEqual(this.pageErrors, [], `${this.name}'s page threw`);
    // The unknown one: the service worker's script, when the network is cut as it is registered; a reply that is wrong is told in other words.
    const network = /Failed to load resource|WebSocket connection|net::ERR_|An unknown error occurred when fetching the script/;
    const errors = this.log.filter((line) => /^error: /.test(line) && !network.test(line));
    assert.deepEqual(errors, [], `${this.name}'s console`);
    assert.deepEqual(await this.page.evaluate(() => window.seen.violations), [], `${this.name}'s content policy`);
  }
}
