// Everything can be done without a mouse: Tab reaches every control, shows where it is, and is nowhere trapped; keys of the
// meeting do what their list says.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBrowser, variants } from "../../dev/browser.mjs";
import { join, scenes } from "../../dev/scenes.mjs";
import { setScene } from "../../dev/mock-scene.mjs";

const desktop = variants["desktop-light-en"];
let browser;

before(async () => (browser = await startBrowser()));
after(() => browser.close());

// Marks what Tab should reach on the page as it is: in the open dialog, else everywhere.
function markControls() {
  const root = document.querySelector("dialog[open]") ?? document.body;
  const controls = [...root.querySelectorAll("a[href], button, input, select, textarea, summary")].filter((e) => {
    if (e.disabled || e.tabIndex < 0 || e.type === "file" || e.type === "hidden" || e.closest("[hidden]")) return false;
    // Of a group of radios one is a stop.
    if (e.type === "radio" && !e.checked) return false;
    return e.checkVisibility({ checkVisibilityCSS: true });
  });
  controls.forEach((e, i) => (e.dataset.stop = String(i)));
  return controls.map((e) => e.outerHTML.slice(0, 90));
}

function here() {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const ring = e.type === "radio" ? e.closest("label") : e;
  const style = getComputedStyle(ring);
  const box = ring.getBoundingClientRect();
  const isInView = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
  return { stop: e.dataset.stop, hasRing: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2, isInView, html: e.outerHTML.slice(0, 90) };
}

async function walk(page) {
  const controls = await page.evaluate(markControls);
  const reached = new Set();
  // From the start of the page on, once round.
  await page.evaluate(() => document.activeElement?.blur());
  for (let i = 0; i < controls.length * 2 + 20 && reached.size < controls.length; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(here);
    if (at?.stop === undefined) continue;
    assert.ok(at.hasRing, `no ring around ${at.html}`);
    assert.ok(at.isInView, `out of sight: ${at.html}`);
    reached.add(Number(at.stop));
  }
  assert.deepEqual(controls.filter((_, i) => !reached.has(i)), []);
  assert.ok(controls.length > 0);
}

for (const name of [
  "login", "register", "home", "settings", "admin", "chat", "chat-group", "chat-members", "chat-new-group", "schedule-options", "share", "prejoin-guest", "prejoin-denied", "waiting", "meeting-two",
  "meeting-people", "meeting-controls", "meeting-many", "after-left",
])
  test(`Tab reaches everything: ${name}`, { timeout: 120_000 }, async () => {
    const page = await scenes[name](browser.open, desktop);
    await walk(page);
    await page.context().close();
  });

test("a menu: opened, walked, left, and the focus back where it was", async () => {
  setScene();
  const page = await browser.open("/", desktop);
  const button = page.locator(".meeting-do [aria-haspopup=menu]").first();
  await button.focus();
  await page.keyboard.press("Enter");
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  assert.equal(await focused(), "Copy link");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "Invite people");
  await page.keyboard.press("End");
  assert.equal(await focused(), "End for all");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "Copy link");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".menu").count(), 0);
  assert.ok(await button.evaluate((e) => e === document.activeElement));
  await page.context().close();
});

test("a dialog: the focus goes in, stays, and comes back", async () => {
  setScene();
  const page = await browser.open("/", desktop);
  const button = page.locator("button.starter").nth(1);
  await button.focus();
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  for (let i = 0; i < 25; i++) {
    const isInside = await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null);
    assert.ok(isInside);
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  assert.ok(await button.evaluate((e) => e === document.activeElement));
  await page.context().close();
});

test("from signing in to leaving a meeting, by keys alone", { timeout: 120_000 }, async () => {
  setScene();
  const page = await browser.open("/login?next=/m/abc-defg-hij", { ...desktop, user: null });
  await page.locator("input[name=login]").focus();
  await page.keyboard.type("ada");
  await page.keyboard.press("Tab");
  await page.keyboard.type("correct horse");
  await page.keyboard.press("Enter");
  await page.locator(".join-btn").focus();
  await page.keyboard.press("Enter");
  await page.locator(".bar").waitFor();
  await page.locator(".bar-btn.is-leave").focus();
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(".after").waitFor();
  // Each new screen has the focus, so the next Tab is at its beginning.
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "MAIN");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Rejoin");
  await page.context().close();
});

test("the keys of the meeting", { timeout: 120_000 }, async () => {
  setScene({ others: 3 });
  const page = await browser.open("/m/abc-defg-hij", desktop);
  await join(page);
  const label = (selector) => page.locator(selector).first().getAttribute("aria-label");
  const isShown = async (selector) => (await page.locator(selector).count()) > 0;
  const until = async (check, what) => {
    for (let i = 0; i < 40; i++) {
      if (await check()) return;
      await page.waitForTimeout(50);
    }
    assert.fail(what);
  };
  const mic = ".bar-btn.is-mic";
  await page.keyboard.press("m");
  await until(async () => (await label(mic)) === "Turn microphone on", "M turns the microphone off");
  await page.keyboard.down("t");
  await until(async () => (await label(mic)) === "Turn microphone off", "T opens it while held");
  await page.keyboard.up("t");
  await until(async () => (await label(mic)) === "Turn microphone on", "and closes it again");
  await page.keyboard.press("v");
  await until(() => isShown("[aria-label='Turn camera on']"), "V turns the camera off");
  await page.keyboard.press("h");
  await until(() => isShown(".bar-btn.is-hand"), "H raises the hand");
  await page.keyboard.press("p");
  await until(() => isShown(".panel"), "P opens the people");
  await page.keyboard.press("p");
  await until(async () => !(await isShown(".panel")), "and closes them");
  await page.keyboard.press("l");
  await page.keyboard.press("l");
  await until(() => isShown(".tile.is-stage"), "L changes the layout");
  await page.keyboard.press("s");
  await until(() => isShown(".own-screen"), "S shares the screen");
  await page.keyboard.press("?");
  await until(() => isShown("dialog[open] .keys"), "? shows the keys");
  await page.keyboard.press("m");
  assert.equal(await label(mic), "Turn microphone on", "no keys while a dialog is open");
  await page.locator("dialog[open] .switch").focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Escape");
  await page.keyboard.press("p");
  await page.waitForTimeout(200);
  assert.equal(await isShown(".panel"), false, "no keys when they are switched off");
  await page.context().close();
});

test("Space belongs to the focused button", async () => {
  setScene({ others: 2 });
  const page = await browser.open("/m/abc-defg-hij", desktop);
  await join(page);
  await page.locator(".bar-side .bar-btn").last().focus();
  await page.keyboard.press("Space");
  await page.locator(".panel").waitFor();
  assert.equal(await page.locator(".bar-btn.is-mic").getAttribute("aria-label"), "Turn microphone off");
  await page.context().close();
});
