// The whole way, from making an account to leaving a meeting, by keyboard alone: what has the focus is always seen, and
// menus and dialogs give it back.
import assert from 'node:assert/strict';
import { scene, setUp } from './stage.mjs';

setUp();

const STEPS_MOST = 40;

// The accessible name of what has the focus, and whether one sees that it has it.
const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  const label = e.getAttribute('aria-label') ?? (e.labels?.[0]?.innerText || e.innerText || '');
  const isSeen = (x) => {
    const style = getComputedStyle(x);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
  };
  return {
    tag: e.tagName, name: label.trim().split('\n')[0], isShown: e.matches(':focus-visible') && (isSeen(e) || isSeen(e.parentElement)),
  };
});

// Tab, as often as it takes, until this has the focus.
async function tabTo(person, name, key = 'Tab') {
  const passed = [];
  for (let i = 0; i < STEPS_MOST; i++) {
    await person.page.keyboard.press(key);
    const now = await focused(person.page);
    passed.push(now.name || now.tag);
    assert.ok(now.isShown || now.tag === 'BODY', `the focus on “${now.name || now.tag}” is not to be seen`);
    if (name instanceof RegExp ? name.test(now.name) : now.name === name) return;
  }
  assert.fail(`no way to “${name}” by ${key}: ${passed.join(' > ')}`);
}

const nameOfFocus = async (person) => (await focused(person.page)).name;

scene('from registering to leaving without a mouse', async (stage) => {
  const ada = await stage.person('Ada');
  const { page } = ada;
  const press = (key) => page.keyboard.press(key);
  await page.goto(`${ada.base}/register`);
  await page.locator('input[name=nickname]').waitFor();
  await tabTo(ada, 'Your name');
  await page.keyboard.type('Ada');
  await tabTo(ada, 'Username');
  await page.keyboard.type('ada.keys');
  await tabTo(ada, 'Password');
  await page.keyboard.type('nothing but keys');
  await press('Enter');
  await ada.button(/New meeting/).waitFor();

  await tabTo(ada, 'Skip to content');
  await tabTo(ada, /^New meeting/);
  await press('Enter');
  await page.locator('.join-btn').waitFor();
  await tabTo(ada, 'Join now');
  await press('Enter');
  await ada.isInside();
  const bo = await stage.person('Bo');
  await bo.enter(page.url());
  await ada.receives('Bo');

  await tabTo(ada, 'Turn microphone off');
  await press('Space');
  await bo.tile('Ada').getByRole('img', { name: 'Microphone off' }).waitFor();
  assert.equal(await nameOfFocus(ada), 'Turn microphone on');

  await tabTo(ada, 'React');
  await press('Enter');
  await page.locator('.reaction-btn:focus').waitFor();
  await press('ArrowRight');
  await press('Enter');
  await bo.until('the reaction', () => window.seen.frames.some((f) => f.type === 'reaction'));
  await press('Escape');
  assert.equal(await nameOfFocus(ada), 'React');

  await tabTo(ada, 'More');
  await press('Enter');
  await page.locator('.menu-item:focus').waitFor();
  await press('End');
  await press('Enter');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await ada.until('the focus comes back to the button', () => document.activeElement.getAttribute('aria-label') === 'More');

  // The single keys, and that they do not steal what is typed.
  await press('p');
  await page.locator('.panel').waitFor();
  await press('p');
  await page.locator('.panel').waitFor({ state: 'detached' });
  await press('h');
  await bo.tile('Ada').locator('.hand-badge').waitFor();
  await page.keyboard.down('t');
  await bo.tile('Ada').getByRole('img', { name: 'Microphone off' }).waitFor({ state: 'detached' });
  await page.keyboard.up('t');
  await bo.tile('Ada').getByRole('img', { name: 'Microphone off' }).waitFor();

  // A person's menu, on the tile: what a mouse finds by hovering the keyboard reaches as well.
  await tabTo(ada, 'More about Bo', 'Shift+Tab');
  await press('Enter');
  await page.locator('.menu-item:focus').waitFor();
  await press('Home');
  await press('Enter');
  await ada.tile('Bo').getByRole('img', { name: 'Pinned' }).waitFor();

  await tabTo(ada, 'Leave');
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  await tabTo(ada, 'Leave only');
  await press('Enter');
  await page.getByRole('heading', { name: 'You left the meeting' }).waitFor();
  await bo.tile('Ada').waitFor({ state: 'detached' });
  await tabTo(ada, 'My meetings');
  await press('Enter');
  await ada.button(/New meeting/).waitFor();
});
