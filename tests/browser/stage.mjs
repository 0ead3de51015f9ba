// The stage of the browser tests: a real server, a real Chromium, and people who each have a browser of their own
// (cookies, storage, devices). What goes wrong leaves pictures, consoles and the server's log in BUILD/browser/.
//
//   scene('two people meet', async (stage) => {
//     const ada = await stage.person('Ada');
//     await ada.register();
//     ...
//   });
//
// A file of tests has one server and one Chromium; each scene has people of its own.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { binary, startServer } from '../flow/server.mjs';
import { Person } from './person.mjs';
import { Proxy } from './proxy.mjs';

const inPage = readFileSync(new URL('in_page.js', import.meta.url), 'utf8');
const evidenceDir = path.join(path.dirname(path.dirname(binary)), 'browser');
const SCENE_MS = 240_000;
// Chromium on a busy machine with two cores is slow; a condition that holds is never waited for longer than it takes.
export const PATIENCE_MS = 45_000;

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

const chromiumArgs = [
  // Three cameras, because Chromium's second fake one is a depth sensor, which no encoder takes.
  '--no-sandbox', '--use-fake-device-for-media-stream=device-count=3', '--use-fake-ui-for-media-stream', '--disable-background-networking',
  // A machine without any network has tests all the same.
  '--allow-loopback-in-peer-connection',
  // Pages that are not in front must go on as if each person had a screen.
  '--disable-renderer-backgrounding', '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows',
];

class Stage {
  constructor(house) {
    this.house = house;
    this.people = [];
    this.proxies = [];
  }

  get server() { return this.house.server; }

  // A page for a new person. `isProxied`: all but media goes through a proxy that can cut (person.proxy). `isTls`: by https,
  // where the file's server offers it.
  async person(name, {
    isProxied = false, isTls = false, size = desktop, theme = 'light', language = 'en', camera = { width: 640, height: 360 }, permissions = ['microphone', 'camera'],
  } = {}) {
    const isPhone = size.width < 600;
    const context = await this.house.browser.newContext({
      viewport: size, colorScheme: theme, locale: language === 'zh' ? 'zh-CN' : 'en-GB', permissions,
      isMobile: isPhone, hasTouch: isPhone, reducedMotion: 'reduce', ignoreHTTPSErrors: isTls,
    });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(inPage);
    await context.addInitScript((ideal) => {
      window.cameraSize = { width: { ideal: ideal.width }, height: { ideal: ideal.height }, frameRate: { ideal: 15 } };
    }, camera);
    const proxy = isProxied ? await this.proxy() : null;
    const base = proxy ? proxy.url : isTls ? this.server.httpsUrl : this.server.url;
    const person = new Person(this, name, await context.newPage(), { base, proxy });
    this.people.push(person);
    return person;
  }

  async proxy() {
    const proxy = await Proxy.start(this.server.port);
    this.proxies.push(proxy);
    return proxy;
  }

  // Somebody with an account (made by the API: the pages of registering have tests of their own), at the start page.
  async account(name, options) {
    const person = await this.person(name, options);
    await person.registerQuietly();
    return person;
  }

  async keepEvidence(title) {
    const dir = path.join(evidenceDir, title.replace(/[^a-z0-9]+/gi, '-'));
    mkdirSync(dir, { recursive: true });
    for (const [i, person] of this.people.entries()) {
      const file = path.join(dir, `${i}-${person.name.replace(/\W+/g, '-')}`);
      writeFileSync(`${file}.log`, person.log.join('\n'));
      await person.page.screenshot({ path: `${file}.png`, timeout: 5000 }).catch(() => undefined);
      const state = await person.page.evaluate('seen.report()').catch((problem) => String(problem));
      writeFileSync(`${file}.json`, JSON.stringify(state, null, 1));
    }
    writeFileSync(path.join(dir, 'server.log'), this.server.output + this.server.errors);
    return dir;
  }

  async close() {
    await Promise.all(this.people.map((person) => person.page.context().close()));
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
  }
}

// What all scenes of a file share.
class House {
  async open(env) {
    this.env = typeof env === 'function' ? await env() : env;
    this.server = await startServer({ env: this.env });
    this.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: chromiumArgs });
  }

  // Stops the server and starts another on the same ports and data.
  async restartServer({ whileDown = async () => undefined } = {}) {
    const { dataDir, port } = this.server;
    this.server.isOwnDir = false;
    await this.server.stop({ keepData: true });
    await whileDown();
    this.server = await startServer({ env: { ...this.env, PARLANCE_HTTP_PORT: String(port) }, dataDir });
    this.server.isOwnDir = true;
  }

  async close() {
    await this.browser?.close();
    await this.server?.stop();
  }
}

let current;
export const house = () => current;

// The server of this file's scenes, with these settings (or what returns them, after it has started what they name).
export function setUp(env = {}) {
  const house = new House();
  current = house;
  before(() => house.open(env));
  after(() => house.close());
}

export function scene(title, play) {
  test(title, { timeout: SCENE_MS }, async (t) => {
    const stage = new Stage(current);
    try {
      await play(stage, t);
      for (const person of stage.people) await person.assertClean();
    } catch (problem) {
      t.diagnostic(`see ${await stage.keepEvidence(title)}`);
      throw problem;
    } finally {
      await stage.close();
    }
  });
}
