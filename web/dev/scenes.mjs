// Every state of every screen, by name: each opens a page and brings it there. `open` is that of browser.mjs, `v` one of
// its variants.
import { cutIm, resetIm, sayIm, tellIm } from "./mock-im.mjs";
import { hangUp, tell } from "./mock-socket.mjs";
import { scene, setScene } from "./mock-scene.mjs";

const busy = { others: 6, speaker: 2, hands: [3, 5], away: 4 };
const moderatorMenu = ".bar-main > .bar-btn[aria-haspopup=menu]";

export async function join(page) {
  await page.locator(".join-btn").click();
  await page.locator(".bar").waitFor();
  await page.waitForTimeout(700);
}

// A page inside a meeting with the given things going on there.
async function inside(open, v, changes = {}, code = "abc-defg-hij") {
  setScene(changes);
  const page = await open(`/m/${code}`, v);
  await join(page);
  return page;
}

async function guest(open, v, code) {
  setScene();
  const page = await open(`/m/${code}`, { ...v, user: null });
  await page.locator(".facts").waitFor();
  await page.waitForTimeout(600);
  return page;
}

async function home(open, v, changes = {}) {
  setScene(changes);
  const page = await open("/", v);
  await page.locator(changes.hasMeetings === false ? ".empty" : ".meeting-row").first().waitFor();
  return page;
}

async function shown(page) {
  await page.locator("h1").waitFor();
  return page;
}

async function ended(open, v, frame, code) {
  const page = await inside(open, v);
  if (frame) tell(frame);
  hangUp(code);
  await page.locator(".after").waitFor();
  return page;
}

// The dialog behind an entry of the "more" menu, counted from its end.
async function dialog(open, v, name, changes = {}) {
  const page = await inside(open, v, { others: 4, ...changes });
  if (name === "connection") await page.locator(".signal-btn").click();
  else {
    await page.locator(moderatorMenu).click();
    await page.getByRole("menuitem", { name }).click();
  }
  await page.locator("dialog[open]").waitFor();
  return page;
}

// The messages, a conversation open or none.
async function chat(open, v, id = "", changes = {}) {
  setScene(changes);
  resetIm();
  const page = await open(`/c${id && `/${id}`}`, v);
  await page.locator(changes.hasMeetings === false ? ".chat-list .empty" : id ? ".msg" : ".conv").first().waitFor();
  await page.waitForTimeout(300);
  return page;
}

async function write(page, text) {
  await page.locator(".composer textarea").fill(text);
  await page.locator(".composer textarea").press("Enter");
}

// What the menu of a message of one's own opens.
async function messageDialog(open, v, name) {
  const page = await chat(open, v, "c1");
  await page.locator(".msg").nth(3).hover();
  await page.locator(".msg").nth(3).locator(".msg-actions [aria-haspopup=menu]").click();
  await page.getByRole("menuitem", { name }).click();
  await page.locator("dialog[open]").waitFor();
  return page;
}

export const scenes = {
  login: async (open, v) => shown(await open("/login", { ...v, user: null })),
  "login-wrong": async (open, v) => {
    const page = await open("/login", { ...v, user: null });
    await page.fill("input[name=login]", "ada");
    await page.fill("input[name=password]", "not this one");
    await page.locator("button[type=submit]").click();
    await page.locator(".note-bad").waitFor();
    return page;
  },
  register: async (open, v) => shown(await open("/register", { ...v, user: null })),
  "register-wrong": async (open, v) => {
    const page = await open("/register?invitation=PARL-1", { ...v, user: null });
    await page.locator("button[type=submit]").click();
    await page.locator(".field-error").first().waitFor();
    return page;
  },
  "not-found": async (open, v) => shown(await open("/nowhere/at/all", v)),
  home: async (open, v) => home(open, v),
  "home-empty": async (open, v) => home(open, v, { hasMeetings: false }),
  "home-zone": async (open, v) => home(open, { ...v, zone: "America/Los_Angeles" }),
  "home-menu": async (open, v) => {
    const page = await home(open, v);
    await page.locator(".meeting-do [aria-haspopup=menu]").first().click();
    return page;
  },
  schedule: async (open, v) => {
    const page = await home(open, v);
    await page.locator("button.starter").nth(1).click();
    await page.fill("dialog[open] input[placeholder]", v.language === "zh" ? "季度规划" : "Quarterly plan");
    await page.locator("dialog[open] input[role=combobox]").pressSequentially("ma");
    await page.locator(".picker-option").first().waitFor();
    return page;
  },
  "schedule-options": async (open, v) => {
    const page = await home(open, v);
    await page.locator("button.starter").nth(1).click();
    await page.locator("dialog[open] .switch").last().click();
    await page.locator("dialog[open] button[type=submit]").click();
    await page.locator("dialog[open] .field-error").nth(1).waitFor();
    await page.locator("dialog[open] .dialog-body").evaluate((e) => e.scrollTo(0, e.scrollHeight));
    return page;
  },
  share: async (open, v) => {
    const page = await home(open, v);
    await page.locator(".meeting-do [aria-haspopup=menu]").nth(2).click();
    await page.locator(".menu-item").nth(1).click();
    await page.locator("dialog[open] .link-box").waitFor();
    await page.locator("dialog[open] .btn-row .btn").nth(1).click();
    await page.locator("dialog[open] .row-item").first().waitFor();
    return page;
  },
  "delete-meeting": async (open, v) => {
    const page = await home(open, v);
    await page.locator(".meeting-do [aria-haspopup=menu]").nth(2).click();
    await page.locator(".menu-item.is-danger").click();
    await page.locator("dialog[open]").waitFor();
    return page;
  },
  settings: async (open, v) => {
    setScene();
    const page = await open("/settings", v);
    await page.locator(".row-item").first().waitFor();
    return page;
  },
  admin: async (open, v) => {
    setScene();
    const page = await open("/admin", v);
    await page.locator(".table").waitFor();
    await page.locator(".badge").first().waitFor();
    return page;
  },
  "admin-below": async (open, v) => {
    const page = await scenes.admin(open, v);
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    return page;
  },
  "admin-password": async (open, v) => {
    const page = await scenes.admin(open, v);
    await page.locator(".row-item [aria-haspopup=menu]").nth(1).click();
    await page.locator(".menu-item").nth(1).click();
    await page.locator("dialog[open] button[type=submit]").click();
    await page.locator("dialog[open] .field-error").waitFor();
    return page;
  },
  prejoin: async (open, v) => {
    setScene();
    const page = await open("/m/abc-defg-hij", v);
    await page.locator(".verdict.is-good").waitFor();
    await page.waitForTimeout(400);
    return page;
  },
  "prejoin-guest": async (open, v) => guest(open, v, "wait-room-two"),
  "prejoin-missing": async (open, v) => {
    const page = await guest(open, v, "wait-room-two");
    await page.locator(".join-btn").click();
    await page.locator(".field-error").nth(1).waitFor();
    return page;
  },
  "prejoin-password": async (open, v) => {
    const page = await guest(open, v, "wait-room-two");
    await page.fill("input[name=name]", "Rosa");
    await page.fill("input[name=meeting-password]", "open");
    await page.locator(".join-btn").click();
    await page.locator(".field-error").waitFor();
    return page;
  },
  "prejoin-locked": async (open, v) => guest(open, v, "lock-room-abc"),
  "prejoin-full": async (open, v) => guest(open, v, "full-room-abc"),
  "prejoin-no-guests": async (open, v) => guest(open, v, "staff-only-abc"),
  "prejoin-denied": async (open, v) => {
    setScene({ isReachable: false });
    const page = await open("/m/abc-defg-hij", { ...v, media: { deny: "NotAllowedError" } });
    await page.locator(".note-warn").nth(1).waitFor();
    await page.locator(".verdict.is-bad").waitFor();
    return page;
  },
  "prejoin-off": async (open, v) => {
    setScene();
    const page = await open("/m/abc-defg-hij", { ...v, prefs: { isCameraOn: false, isMicrophoneOn: false } });
    await page.locator(".verdict.is-good").waitFor();
    return page;
  },
  "prejoin-ended": async (open, v) => {
    setScene();
    const page = await open("/m/past-meet-one", v);
    await page.locator(".lonely h1").waitFor();
    return page;
  },
  "prejoin-absent": async (open, v) => {
    setScene();
    const page = await open("/m/no-such-meeting", v);
    await page.locator(".lonely h1").waitFor();
    return page;
  },
  waiting: async (open, v) => {
    const page = await guest(open, v, "wait-room-two");
    await page.fill("input[name=name]", "Rosa");
    await page.fill("input[name=meeting-password]", "sesame");
    await page.locator(".join-btn").click();
    await page.locator(".waiting-box").waitFor();
    return page;
  },
  "meeting-chat": async (open, v) => {
    resetIm();
    const page = await inside(open, v, busy);
    await page.keyboard.press("c");
    await page.locator(".chat-beside .msg").first().waitFor();
    await page.waitForTimeout(400);
    return page;
  },
  "meeting-chat-unread": async (open, v) => {
    resetIm();
    const page = await inside(open, v, busy);
    await page.locator(".bar-count.is-unread").waitFor({ timeout: 15_000 });
    return page;
  },
  chat: async (open, v) => chat(open, v),
  "chat-empty": async (open, v) => chat(open, v, "", { hasMeetings: false }),
  "chat-group": async (open, v) => chat(open, v, "c1"),
  "chat-long": async (open, v) => {
    const page = await chat(open, v, "c2");
    await page.locator(".thread").evaluate((e) => e.scrollTo(0, 0));
    await page.locator("[data-seq='80']").waitFor();
    return page;
  },
  "chat-live": async (open, v) => {
    const page = await chat(open, v, "c1");
    await write(page, v.language === "zh" ? "我来了。" : "On my way.");
    sayIm("c1", "u2", "See you in the room.");
    await page.getByText("See you in the room.").last().waitFor();
    tellIm({ is_typing: { conversation_id: "c1", user_id: "u5" } });
    await page.waitForFunction(() => document.querySelector(".chat-typing").textContent);
    return page;
  },
  "chat-failed": async (open, v) => {
    const page = await chat(open, v, "c2");
    await write(page, "refuse me");
    await page.locator(".msg-failure").waitFor();
    return page;
  },
  "chat-cut": async (open, v) => {
    const page = await chat(open, v, "c2");
    scene.isReachable = false;
    cutIm();
    await page.waitForTimeout(200);
    await write(page, "Written without a connection.");
    await page.locator(".msg-bubble.is-pending").waitFor();
    await page.locator(".chat-cut").waitFor({ state: "attached" });
    return page;
  },
  "chat-edit": async (open, v) => {
    const page = await chat(open, v, "c2");
    await page.locator(".composer textarea").press("ArrowUp");
    await page.locator(".composer-doing").waitFor();
    return page;
  },
  "chat-menu": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".msg.is-own .msg-actions button").last().click();
    await page.locator(".menu-item").first().waitFor();
    return page;
  },
  "chat-emoji": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".composer").getByRole("button", { name: /^(Emoji|表情)$/ }).click();
    await page.locator(".emoji-panel").waitFor();
    return page;
  },
  "chat-members": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".conversation-head").getByRole("button", { name: /^(About this group|关于此群组)$/ }).click();
    await page.locator(".group-member").first().waitFor();
    return page;
  },
  "chat-rich": async (open, v) => {
    const page = await chat(open, v, "c1", { isRich: true });
    await page.locator(".thread-note .btn").waitFor();
    return page;
  },
  "chat-mention": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".composer textarea").pressSequentially("Hello @");
    await page.locator(".mention-list").waitFor();
    return page;
  },
  "chat-thread": async (open, v) => {
    const page = await chat(open, v, "c1", { isRich: true });
    await page.locator(".msg-thread").first().click();
    await page.locator(".thread-answers .msg").nth(2).waitFor();
    return page;
  },
  "chat-pins": async (open, v) => {
    const page = await chat(open, v, "c1", { isRich: true });
    await page.locator(".conversation-head [aria-haspopup=menu]").click();
    await page.getByRole("menuitem", { name: /^(Pinned messages|置顶消息)$/ }).click();
    await page.locator(".pin").waitFor();
    return page;
  },
  "chat-forward": async (open, v) => messageDialog(open, v, /^(Forward|转发)$/),
  "chat-receipts": async (open, v) => messageDialog(open, v, /^(Who has read it|谁已读)$/),
  "chat-hide": async (open, v) => messageDialog(open, v, /^(Delete for me|仅为我删除)$/),
  "chat-react": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".msg").nth(3).hover();
    await page.locator(".msg").nth(3).locator(".msg-actions button").first().click();
    await page.locator(".emoji-popover").waitFor();
    return page;
  },
  "chat-status": async (open, v) => {
    const page = await chat(open, v);
    await page.locator(".rail-me button").click();
    await page.getByRole("menuitem", { name: /^(Set a status|设置状态)$/ }).click();
    await page.locator("dialog[open] .statuses").waitFor();
    await page.fill("dialog[open] input[maxlength='100']", "Reading");
    return page;
  },
  "chat-files": async (open, v) => {
    const page = await chat(open, v, "c1", { hasFiles: true });
    await page.locator(".thread-end").click();
    await page.locator(".film img").waitFor();
    return page;
  },
  "chat-pictures": async (open, v) => {
    const page = await chat(open, v, "c1", { hasFiles: true });
    await page.locator(".thread").evaluate((e) => e.scrollBy(0, 300));
    await page.locator(".pictures .picture img").nth(3).waitFor();
    return page;
  },
  "chat-viewer": async (open, v) => {
    const page = await scenes["chat-pictures"](open, v);
    await page.locator(".pictures .picture").last().click();
    await page.locator(".viewer img").waitFor();
    return page;
  },
  "chat-tray": async (open, v) => {
    const page = await chat(open, v, "c1");
    const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
    await page.locator(".composer input[type=file]").setInputFiles([{ name: "dot.png", mimeType: "image/png", buffer: png }, { name: "Notes of the meeting.txt", mimeType: "text/plain", buffer: Buffer.alloc(4200, "x") }]);
    await page.locator(".upload").nth(1).waitFor();
    await page.waitForTimeout(400);
    return page;
  },
  "chat-uploading": async (open, v) => {
    const page = await chat(open, v, "c1", { isUploadStuck: true });
    await page.locator(".composer input[type=file]").setInputFiles([{ name: "recording.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(2_400_000, "x") }]);
    await write(page, "The recording of this morning");
    await page.locator(".bundles .upload").waitFor();
    await page.waitForTimeout(400);
    return page;
  },
  "chat-voice": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".composer-row .icon-btn").last().click();
    await page.locator(".recorder-levels i").nth(20).waitFor({ state: "attached" });
    return page;
  },
  "chat-person": async (open, v) => {
    const page = await chat(open, v, "c2");
    await page.locator(".conversation-head").getByRole("button", { name: /^(About this person|关于此人)$/ }).click();
    await page.locator(".person-head").waitFor();
    return page;
  },
  "chat-contacts": async (open, v) => {
    const page = await chat(open, v);
    await page.getByRole("button", { name: /^(Contacts|联系人)$/ }).click();
    await page.locator("dialog[open] .group-member").first().waitFor();
    return page;
  },
  "chat-requests": async (open, v) => {
    const page = await scenes["chat-contacts"](open, v);
    await page.locator("dialog[open] .segment").nth(1).click();
    await page.locator("dialog[open] .group-member").nth(1).waitFor();
    return page;
  },
  "chat-group-settings": async (open, v) => {
    const page = await scenes["chat-members"](open, v);
    await page.locator(".side-panel").getByRole("button", { name: /^(Settings|设置)$/ }).click();
    await page.locator("dialog[open]").waitFor();
    return page;
  },
  "chat-member": async (open, v) => {
    const page = await scenes["chat-members"](open, v);
    await page.locator(".group-members [aria-haspopup=menu]").nth(1).click();
    return page;
  },
  "chat-schedule": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".composer textarea").fill("Good morning!");
    await page.getByRole("button", { name: /^(Send later|定时发送)$/ }).click();
    await page.locator("dialog[open]").waitFor();
    return page;
  },
  "chat-scheduled": async (open, v) => {
    const page = await scenes["chat-conversation-menu"](open, v);
    await page.locator(".menu-item", { hasText: /Scheduled messages|定时消息/ }).click();
    await page.locator(".side-panel .upload").waitFor();
    return page;
  },
  "chat-conversation-menu": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".conversation-head [aria-haspopup=menu]").click();
    await page.locator(".menu-item").first().waitFor();
    return page;
  },
  "chat-switcher": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.keyboard.press("Control+k");
    await page.locator(".switcher .picker-option").first().waitFor();
    return page;
  },
  "chat-keys": async (open, v) => {
    const page = await chat(open, v);
    await page.keyboard.press("?");
    await page.locator(".chat-keys").waitFor();
    return page;
  },
  "chat-join": async (open, v) => {
    setScene();
    resetIm();
    const page = await open("/c/nowhere", v);
    await page.locator(".join-card").waitFor();
    return page;
  },
  "chat-search": async (open, v) => {
    const page = await chat(open, v);
    await page.locator(".chat-search input").fill("line");
    await page.locator(".chat-list a[href*='at=']").first().waitFor();
    return page;
  },
  "chat-search-page": async (open, v) => {
    const page = await chat(open, v);
    await page.goto(new URL("/search?q=line&kind=text", page.url()).href);
    await page.locator(".found-list a").first().waitFor();
    return page;
  },
  "chat-search-empty": async (open, v) => {
    const page = await chat(open, v);
    await page.goto(new URL("/search", page.url()).href);
    await page.locator(".search-body .chat-hint").waitFor();
    return page;
  },
  "chat-invited": async (open, v) => {
    const page = await chat(open, v, "", { isInvited: true });
    await page.locator(".offer").first().waitFor();
    return page;
  },
  "chat-new-link": async (open, v) => {
    const page = await scenes["chat-members"](open, v);
    await page.getByRole("button", { name: /^(Create link|创建链接)$/ }).click();
    await page.locator("dialog[open] .btn-primary").click();
    await page.locator(".new-link").waitFor();
    return page;
  },
  "chat-invite": async (open, v) => {
    const page = await scenes["chat-members"](open, v);
    await page.getByRole("button", { name: /^(Add people|添加成员)$/ }).click();
    await page.locator("dialog[open] .segment").nth(1).click();
    return page;
  },
  "chat-attach": async (open, v) => {
    const page = await chat(open, v, "c1");
    await page.locator(".composer [aria-haspopup=menu]").click();
    await page.locator(".menu-item").first().waitFor();
    return page;
  },
  "chat-place": async (open, v) => {
    const page = await scenes["chat-attach"](open, v);
    await page.locator(".menu-item").nth(1).click();
    await page.locator("dialog[open]").waitFor();
    await page.locator("dialog[open] .btn-primary").click();
    return page;
  },
  "chat-card": async (open, v) => {
    const page = await scenes["chat-attach"](open, v);
    await page.locator(".menu-item").nth(2).click();
    await page.locator("dialog[open] .choice").first().waitFor();
    return page;
  },
  "chat-new-group": async (open, v) => {
    const page = await chat(open, v);
    await page.locator(".chat-side-head .icon-btn").first().click();
    await page.locator("dialog[open] input[role=combobox]").pressSequentially("ma");
    await page.locator(".picker-option").first().waitFor();
    return page;
  },
  "meeting-alone": async (open, v) => inside(open, v, {}, "solo-room-one"),
  "meeting-two": async (open, v) => inside(open, v, { others: 1, speaker: 0 }),
  "meeting-grid": async (open, v) => inside(open, v, busy),
  // The picture that README.md shows.
  readme: async (open, v) => {
    const page = await inside(open, v, { others: 8, speaker: 2, hands: [5], cameras: [0, 2, 3, 5, 6, 7] });
    await page.keyboard.press("p");
    await page.mouse.move(5, 5);
    return page;
  },
  "meeting-speaker": async (open, v) => {
    const page = await inside(open, v, busy);
    await page.keyboard.press("l");
    await page.keyboard.press("l");
    return page;
  },
  "meeting-pinned": async (open, v) => {
    const page = await inside(open, v, { others: 4 });
    await page.locator(".tile").nth(2).dblclick();
    return page;
  },
  "meeting-screen": async (open, v) => {
    const page = await inside(open, v, { others: 5, screenBy: 0, speaker: 0 });
    await page.locator(".reaction-picker > button").click();
    for (let i = 0; i < 3; i++) {
      await page.locator(".reaction-btn").nth(i * 2).click();
      await page.waitForTimeout(250);
    }
    await page.keyboard.press("Escape");
    return page;
  },
  "meeting-sharing": async (open, v) => {
    const page = await inside(open, v);
    await page.keyboard.press("s");
    await page.locator(".own-screen").waitFor();
    return page;
  },
  "meeting-reactions": async (open, v) => {
    const page = await inside(open, v);
    await page.locator(".reaction-picker > button").click();
    await page.locator(".reaction-row").waitFor();
    return page;
  },
  "meeting-muted": async (open, v) => {
    const page = await inside(open, { ...v, media: { isLoud: true } }, { others: 2 });
    await page.keyboard.press("m");
    await page.keyboard.press("v");
    await page.locator(".bar-hint").waitFor();
    return page;
  },
  "meeting-hand": async (open, v) => {
    const page = await inside(open, v, { others: 2, isHost: false });
    await page.keyboard.press("h");
    await page.locator(".hand-badge").waitFor();
    return page;
  },
  "meeting-people": async (open, v) => {
    const page = await inside(open, v, {
      others: 8, waiting: ["Bo", "陈静"], hands: [1], quality: { participant_id: "self", score: 1, cause: "uplink_loss", loss: 0.12, round_trip_ms: 90 },
    });
    await page.locator(".bar-side .bar-btn").last().click();
    return page;
  },
  "meeting-people-many": async (open, v) => {
    const page = await inside(open, v, { others: 41, isHost: false });
    await page.locator(".bar-side .bar-btn").last().click();
    return page;
  },
  "meeting-person": async (open, v) => {
    const page = await inside(open, v, { others: 3 });
    await page.locator(".bar-side .bar-btn").last().click();
    await page.locator(".person [aria-haspopup=menu]").nth(1).click();
    return page;
  },
  "meeting-remove": async (open, v) => {
    const page = await inside(open, v, { others: 3 });
    await page.locator(".bar-side .bar-btn").last().click();
    await page.locator(".person [aria-haspopup=menu]").nth(1).click();
    await page.locator(".menu-item.is-danger").click();
    await page.locator("dialog[open]").waitFor();
    return page;
  },
  "meeting-many": async (open, v) => inside(open, v, { others: 41, waiting: ["Bo"] }),
  "meeting-more": async (open, v) => {
    const page = await inside(open, v, { others: 4, quality: { participant_id: "self", score: 2, cause: "round_trip", loss: 0, round_trip_ms: 412 } });
    await page.locator(moderatorMenu).click();
    return page;
  },
  "meeting-microphones": async (open, v) => {
    const page = await inside(open, v);
    const caret = page.locator(".bar-caret").first();
    if (await caret.isVisible()) await caret.click();
    return page;
  },
  "meeting-devices": async (open, v) => dialog(open, v, /^(Devices|设备)$/),
  "meeting-controls": async (open, v) => dialog(open, v, /^(Host controls|主持人控制)$/),
  "meeting-connection": async (open, v) =>
    dialog(open, v, "connection", { quality: { participant_id: "self", score: 1, cause: "downlink_loss", loss: 0.08, round_trip_ms: 130 } }),
  "meeting-keys": async (open, v) => {
    const page = await inside(open, v);
    await page.keyboard.press("?");
    await page.locator("dialog[open]").waitFor();
    return page;
  },
  "meeting-invite": async (open, v) => {
    const page = await inside(open, v);
    await page.keyboard.press("p");
    await page.locator(".people-invite .btn").nth(1).click();
    await page.locator("dialog[open] .link-box").waitFor();
    return page;
  },
  "meeting-reconnecting": async (open, v) => {
    const page = await inside(open, v);
    scene.isReachable = false;
    hangUp(1011);
    await page.locator(".banner").waitFor();
    return page;
  },
  "meeting-leave": async (open, v) => {
    const page = await inside(open, v);
    await page.locator(".bar-btn.is-leave").click();
    await page.locator("dialog[open]").waitFor();
    return page;
  },
  "after-left": async (open, v) => {
    const page = await inside(open, v);
    await page.locator(".bar-btn.is-leave").click();
    await page.locator(".leave-choices button").first().click();
    await page.locator(".after").waitFor();
    return page;
  },
  "after-ended": async (open, v) => ended(open, v, { type: "meeting_ended", actor_id: "u2" }, 1000),
  "after-removed": async (open, v) => ended(open, v, { type: "removed" }, 4403),
  "after-elsewhere": async (open, v) => ended(open, v, null, 4409),
  "after-refused": async (open, v) => {
    const page = await scenes.waiting(open, v);
    tell({ type: "refused" });
    hangUp(4403);
    await page.locator(".after").waitFor();
    return page;
  },
};
