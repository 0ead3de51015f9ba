// Every state of the screens, in both languages, both themes and both sizes, before axe (see examiner.mjs). By selectors, not by
// words: the words differ.
import { Examiner } from './examiner.mjs';
import { scene, setUp } from './stage.mjs';

setUp();

const dark = { themes: ['dark'] };

for (const language of ['en', 'zh']) {
  scene(`nothing for axe to find on the pages (${language})`, async (stage, t) => {
    const ada = await stage.person('Ada', { language });
    const { page } = ada;
    const examiner = new Examiner(ada);
    await page.goto(`${ada.base}/login`);
    await page.locator('input[type=password]').waitFor();
    await examiner.look('sign-in');
    await page.locator('input').first().fill('nobody');
    await page.locator('input[type=password]').fill('nothing at all');
    await page.locator('button[type=submit]').click();
    await page.getByRole('alert').waitFor();
    await examiner.look('sign-in refused');
    await page.goto(`${ada.base}/register`);
    await page.locator('button[type=submit]').click();
    await page.locator('[aria-invalid=true]').first().waitFor();
    await examiner.look('registering, with mistakes');
    await page.goto(`${ada.base}/nowhere/at/all`);
    await page.locator('.lonely').waitFor();
    await examiner.look('an address that leads nowhere');

    await ada.registerQuietly();
    await page.locator('.empty').waitFor();
    await examiner.look('no meetings yet');
    await page.locator('button.starter').nth(1).click();
    await page.locator('dialog[open]').waitFor();
    await examiner.look('scheduling');
    await page.locator('dialog input').first().fill('Weekly <b>planning</b>');
    await page.locator('dialog button[type=submit], dialog .btn-primary').last().click();
    await page.locator('dialog .link-box').waitFor();
    await examiner.look('the link of a new meeting');
    await page.keyboard.press('Escape');
    await page.locator('.meeting-row').waitFor();
    await examiner.look('one meeting');
    const menu = page.locator('.meeting-row [aria-haspopup=menu]');
    await examiner.look('the menu of a meeting', {
      open: async () => {
        await menu.click();
        await page.locator('.menu').waitFor();
      },
      close: () => page.keyboard.press('Escape'),
    });
    await page.goto(`${ada.base}/settings`);
    await page.locator('.page-head').waitFor();
    await page.waitForLoadState('networkidle');
    await examiner.look('settings');
    examiner.done(t);
  });

  scene(`nothing for axe to find before a meeting (${language})`, async (stage, t) => {
    const ada = await stage.account('Ada', { language: 'en' });
    const link = await ada.newMeeting();
    const guest = await stage.person('Gus', { language });
    const { page } = guest;
    const examiner = new Examiner(guest);
    await page.goto(`${guest.base}/m/aaa-bbbb-ccc`);
    await page.locator('.lonely').waitFor();
    await examiner.look('a link to nothing');
    await guest.open(link);
    await page.locator('.preview video').waitFor();
    await examiner.look('prejoin of a guest');
    await page.locator('.join-btn').click();
    await page.locator('[aria-invalid=true]').waitFor();
    await examiner.look('prejoin without a name');
    for (const toggle of await page.locator('.preview .round-btn').all()) await toggle.click();
    await page.locator('.preview-empty').waitFor();
    await examiner.look('prejoin without camera and microphone');

    await ada.join();
    await ada.openControls();
    await ada.page.getByLabel('Meeting password').fill('open sesame');
    await ada.button('Save').click();
    await ada.page.getByText('Password set').waitFor();
    await ada.page.keyboard.press('Escape');
    await ada.hostControl('Waiting room');
    await page.reload();
    await page.locator('input[name=meeting-password]').waitFor();
    await examiner.look('prejoin with password and waiting room');
    await page.fill('input[name=meeting-password]', 'open sesame');
    await guest.clickJoin();
    await page.locator('.waiting-box').waitFor();
    await examiner.look('waiting');
    await ada.button('Let in').click();
    await guest.isInside();
    await page.locator('.bar-btn.is-leave').click();
    await page.locator('.after').waitFor();
    await examiner.look('after a meeting');
    await ada.hostControl('Lock the meeting');
    await page.goto(guest.at(link));
    await page.locator('.join').waitFor();
    await examiner.look('prejoin of a locked meeting');
    await ada.button('Leave').click();
    await ada.button('End for all').click();
    await ada.page.locator('.after').waitFor();
    await page.goto(guest.at(link));
    await page.locator('.lonely').waitFor();
    await examiner.look('a meeting that is over');
    examiner.done(t);
  });

  scene(`nothing for axe to find in a meeting (${language})`, async (stage, t) => {
    const ada = await stage.account('Ada', { language, isProxied: true });
    const { page } = ada;
    const examiner = new Examiner(ada);
    const link = await ada.newMeeting();
    await ada.join();
    await examiner.look('alone', dark);
    const bo = await stage.person('Bo');
    await bo.enter(link);
    await ada.receives('Bo');
    await examiner.look('two', dark);
    await bo.page.keyboard.press('h');
    await bo.page.keyboard.press('m');
    await bo.button('Share screen').click();
    await page.locator('.tile[data-kind=screen] video').waitFor();
    await page.locator('.hand-badge').waitFor();
    await examiner.look('a shared screen and a raised hand', dark);

    const escape = () => page.keyboard.press('Escape');
    const menus = {
      more: '.bar-main > .bar-btn[aria-haspopup=menu]', microphones: '.bar-caret >> nth=0', cameras: '.bar-caret >> nth=1',
      'a person': '.tile[data-kind=camera]:has-text("Bo") .tile-btn',
    };
    for (const [name, selector] of Object.entries(menus))
      await examiner.look(`menu: ${name}`, {
        ...dark, close: escape,
        open: async () => {
          const button = page.locator(selector);
          if (await button.isVisible()) {
            await button.click();
            await page.locator('.menu').waitFor();
          }
        },
      });
    await page.locator('.reaction-picker > button').click();
    await page.locator('.reaction-btn').first().click();
    await examiner.look('reactions', dark);
    await escape();
    await page.keyboard.press('p');
    await page.locator('.panel').waitFor();
    await examiner.look('people', dark);
    await page.keyboard.press('p');

    const more = page.locator(menus.more);
    const dialogs = await (async () => {
      await more.click();
      const count = await page.locator('.menu-item:not([role=menuitemradio])').count();
      await escape();
      return count;
    })();
    let opened = 0;
    for (let i = 0; i < dialogs; i++) {
      await more.click();
      const item = page.locator('.menu-item:not([role=menuitemradio])').nth(i);
      const icon = await item.locator('svg').getAttribute('class');
      if (/picture|maximize/i.test(icon)) {
        await escape();
        continue;
      }
      await item.click();
      await page.locator('dialog[open]').waitFor();
      await examiner.look(`dialog ${icon}`, dark);
      opened++;
      await escape();
      await page.locator('dialog').waitFor({ state: 'detached' });
    }
    if (opened < 4) throw new Error(`only ${opened} dialogs were found`);
    ada.proxy.cut();
    await page.locator('.banner.is-bad').waitFor();
    await examiner.look('the connection broke', dark);
    ada.proxy.mend();
    await page.locator('.banner.is-bad').waitFor({ state: 'detached' });
    await page.locator('.bar-btn.is-leave').click();
    await page.locator('dialog[open]').waitFor();
    await examiner.look('leaving', dark);
    examiner.done(t);
  });
}
