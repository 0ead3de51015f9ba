// Takes pictures of every screen from the mock server, for looking at them: desktop and phone, light and dark, English and
// Chinese.   node dev/shots.mjs OUT_DIR [name-filter]
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startMock } from "./mock.mjs";
import { scene } from "./mock-socket.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(path.join(here, "../../tests/package.json"));
const { chromium } = require("playwright-core");
const [out = "/tmp/shots", filter = ""] = process.argv.slice(2);
mkdirSync(out, { recursive: true });

const server = await startMock();
const base = `http://localhost:${server.address().port}`;
const args = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
const desktop = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };

async function open(url, { size = desktop, theme = "light", language = "en", user = "u1" } = {}) {
  const context = await browser.newContext({
    viewport: size, colorScheme: theme, locale: language === "zh" ? "zh-CN" : "en-GB", hasTouch: size === phone, isMobile: size === phone,
    deviceScaleFactor: size === phone ? 2 : 1, permissions: ["microphone", "camera"],
  });
  if (user) await context.addCookies([{ name: "parlance_csrf", value: "c", url: base }]);
  const page = await context.newPage();
  page.on("pageerror", (e) => console.log("PAGE ERROR", url, e.message));
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && console.log("console:", url, m.text()));
  await page.addInitScript({ path: path.join(here, "fake-media.js") });
  await page.goto(base + url);
  return page;
}

async function shot(page, name) {
  await page.waitForTimeout(500);
  await page.screenshot({ path: path.join(out, `${name}.png`) });
  console.log(name);
}

const join = async (page) => {
  await page.locator(".join-btn").click();
  await page.locator(".bar").waitFor();
  await page.waitForTimeout(900);
};
const variants = [
  ["desktop-light-en", { size: desktop, theme: "light", language: "en" }],
  ["desktop-dark-zh", { size: desktop, theme: "dark", language: "zh" }],
  ["phone-light-zh", { size: phone, theme: "light", language: "zh" }],
  ["phone-dark-en", { size: phone, theme: "dark", language: "en" }],
];

const scenes = {
  login: async (v) => open("/login", { ...v, user: null }),
  register: async (v) => {
    const page = await open("/register", { ...v, user: null });
    await page.locator("button[type=submit]").click();
    return page;
  },
  home: async (v) => open("/", v),
  schedule: async (v) => {
    const page = await open("/", v);
    await page.locator("button.starter").nth(1).click();
    return page;
  },
  settings: async (v) => open("/settings", v),
  admin: async (v) => open("/admin", v),
  prejoin: async (v) => {
    const page = await open("/m/abc-defg-hij", v);
    await page.waitForTimeout(1500);
    return page;
  },
  "prejoin-guest": async (v) => {
    const page = await open("/m/wait-room-two", { ...v, user: null });
    await page.waitForTimeout(1200);
    return page;
  },
  waiting: async (v) => {
    const page = await open("/m/wait-room-two", { ...v, user: null });
    await page.locator("input[name=name]").fill("Rosa");
    await page.locator("input[name=meeting-password]").fill("sesame");
    await page.locator(".join-btn").click();
    await page.locator(".waiting-box").waitFor();
    return page;
  },
  "meeting-alone": async (v) => {
    const page = await open("/m/solo-room-one", v);
    await join(page);
    return page;
  },
  "meeting-two": async (v) => {
    Object.assign(scene, { others: 1, speaker: 0 });
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    return page;
  },
  "meeting-grid": async (v) => {
    Object.assign(scene, { others: 6, speaker: 2, hands: [3, 5], away: 4 });
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    return page;
  },
  "meeting-screen": async (v) => {
    Object.assign(scene, { others: 5, screenBy: 0, speaker: 0, hands: [], away: -1 });
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    for (let i = 0; i < 3; i++) {
      await page.locator(".reaction-picker > button").click();
      await page.locator(".reaction-btn").nth(i * 2).click();
      await page.keyboard.press("Escape");
      await page.waitForTimeout(250);
    }
    return page;
  },
  "meeting-people": async (v) => {
    Object.assign(scene, { others: 8, screenBy: -1, waiting: ["Bo", "陈静"], hands: [1], quality: { participant_id: "self", score: 1, cause: "uplink_loss", loss: 0.12, round_trip_ms: 90 } });
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    await page.locator(".bar-side .bar-btn").last().click();
    return page;
  },
  "meeting-many": async (v) => {
    Object.assign(scene, { others: 41, waiting: ["Bo"], hands: [], quality: null });
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    return page;
  },
  "meeting-more": async (v) => {
    Object.assign(scene, { others: 4, waiting: [], quality: { participant_id: "self", score: 2, cause: "round_trip", loss: 0, round_trip_ms: 412 } });
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    await page.locator(".bar-main > .bar-btn[aria-haspopup=menu]").click();
    return page;
  },
  "meeting-devices": async (v) => {
    scene.quality = null;
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    await page.locator(".bar-main > .bar-btn[aria-haspopup=menu]").click();
    await page.locator(".menu-item").nth(-3).click();
    return page;
  },
  "meeting-leave": async (v) => {
    const page = await open("/m/abc-defg-hij", v);
    await join(page);
    await page.locator(".bar-btn.is-leave").click();
    return page;
  },
  after: async (v) => {
    const page = await open("/m/abc-defg-hij", { ...v, user: "u1" });
    await join(page);
    await page.locator(".bar-btn.is-leave").click();
    await page.locator(".leave-choices button").first().click();
    return page;
  },
};

for (const [name, prepare] of Object.entries(scenes)) {
  if (filter && !new RegExp(filter).test(name)) continue;
  for (const [variant, options] of variants) {
    if (process.env.VARIANT && !variant.includes(process.env.VARIANT)) continue;
    try {
      const page = await prepare(options);
      await shot(page, `${name}.${variant}`);
      await page.context().close();
    } catch (error) {
      console.log(`${name}.${variant}: ${error.message.split("\n")[0]}`);
    }
  }
}
await browser.close();
server.close();
