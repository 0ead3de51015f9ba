// Chromium on the mock: opens a page of the client as somebody on some device. For shots.mjs and the tests of the screens.
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startMock } from "./mock.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(path.join(here, "../../tests/package.json"));
const { chromium } = require("playwright-core");

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

export const variants = {
  "desktop-light-en": { size: desktop, theme: "light", language: "en" },
  "desktop-dark-zh": { size: desktop, theme: "dark", language: "zh" },
  "phone-light-zh": { size: phone, theme: "light", language: "zh" },
  "phone-dark-en": { size: phone, theme: "dark", language: "en" },
};

export async function startBrowser() {
  const server = await startMock();
  const base = `http://localhost:${server.address().port}`;
  const args = [
    "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
  ];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  const problems = [];

  // `user`: null for a guest. `media`: what mockMedia of fake-media.js understands. `prefs`: what the browser remembers.
  async function open(url, { size = desktop, theme = "light", language = "en", user = "u1", media = {}, prefs = null, zone = "Europe/Berlin" } = {}) {
    const isPhone = size.width < 600;
    const context = await browser.newContext({
      viewport: size, colorScheme: theme, locale: language === "zh" ? "zh-CN" : "en-GB", hasTouch: isPhone, isMobile: isPhone,
      deviceScaleFactor: isPhone ? 2 : 1, permissions: ["microphone", "camera", "clipboard-write"], timezoneId: zone,
    });
    if (user) await context.addCookies([{ name: "parlance_csrf", value: "c", url: base }]);
    const page = await context.newPage();
    page.on("pageerror", (e) => problems.push(`${url}: ${e.message}`));
    page.on("console", (m) => m.type() === "error" && !/Failed to load resource|WebSocket/.test(m.text()) && problems.push(`${url}: ${m.text()}`));
    await page.addInitScript((wishes) => (window.mockMedia = wishes), media);
    if (prefs) await page.addInitScript((p) => localStorage.setItem("parlance.media", JSON.stringify(p)), prefs);
    await page.addInitScript({ path: path.join(here, "fake-media.js") });
    await page.goto(base + url);
    return page;
  }
  async function close() {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
  // What went wrong on the pages since the last time it was asked.
  const takeProblems = () => problems.splice(0);
  return { open, close, base, takeProblems };
}
