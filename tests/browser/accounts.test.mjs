// Accounts and planned meetings, as one has them before the eyes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { scene, setUp } from './stage.mjs';

setUp();

scene('an account is made, lives on over a reload, is left and entered again', async (stage) => {
  const ada = await stage.person('Ada');
  const { page } = ada;
  // Who is not signed in is led to signing in, and from there back to where the way began.
  await page.goto(`${ada.base}/settings`);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.getByRole('link', { name: 'Create account' }).click();
  await page.fill('input[name=nickname]', 'Ada <b>L</b>');
  await page.fill('input[name=username]', 'ada.l');
  await page.fill('input[name=password]', 'difference engine 2');
  await ada.button('Create account').click();
  await page.waitForURL(/\/settings$/);
  await page.reload();
  await page.getByRole('heading', { name: 'Settings' }).waitFor();
  await page.goto(`${ada.base}/`);
  await page.getByRole('heading', { name: /Ada <b>L<\/b>/ }).waitFor();

  await page.getByRole('button', { name: /^Account of/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.reload();
  await page.locator('input[name=login]').waitFor();
  await page.fill('input[name=login]', 'ada.l');
  await page.fill('input[name=password]', 'analytical engine');
  await page.locator('button[type=submit]').click();
  await page.getByText('Name or password is wrong.').waitFor();
  await page.fill('input[name=password]', 'difference engine 2');
  await page.locator('button[type=submit]').click();
  await page.locator('.starter-main').waitFor();
});

scene('a meeting is planned with somebody, who finds it and comes', async (stage) => {
  const bo = await stage.account('Bo');
  const ada = await stage.account('Ada');
  await ada.button(/^Schedule/).click();
  await ada.page.getByLabel('Title').fill('Plans; "quoted", and a , comma');
  const timed = ada.page.getByRole('switch', { name: 'At a certain time' });
  if (!await timed.isChecked()) await timed.click();
  await ada.page.getByRole('combobox', { name: 'Invite people' }).fill('Bo');
  await ada.page.getByRole('option', { name: /Bo/ }).first().click();
  await ada.button('Create meeting').click();
  const download = ada.page.waitForEvent('download');
  await ada.button('Calendar file').click();
  const calendar = readFileSync(await (await download).path(), 'utf8').replace(/\r\n[ \t]/g, '');
  assert.match(calendar, /^BEGIN:VCALENDAR\r\n/);
  assert.match(calendar, /SUMMARY:Plans\\; "quoted"\\, and a \\, comma\r\n/);
  await ada.page.keyboard.press('Escape');

  await bo.page.reload();
  const row = bo.page.locator('.meeting-row', { hasText: 'Plans; "quoted"' });
  await row.getByRole('link').first().click();
  await bo.page.locator('.join-btn').waitFor();
  await bo.join();
  await ada.page.reload();
  await ada.page.locator('.meeting-row .live').waitFor();
  await ada.page.locator('.meeting-row').getByRole('link').first().click();
  await ada.page.locator('.join-btn').waitFor();
  await ada.join();
  await ada.receives('Bo');
});

scene('the same person from elsewhere takes the place of the first page', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo');
  await bo.enter(link);
  await ada.receives('Bo');
  const second = await bo.page.context().newPage();
  await second.goto(link);
  await second.locator('.join-btn').click();
  await second.locator('.meeting .bar').waitFor();
  await bo.page.getByRole('heading', { name: 'You joined from elsewhere' }).waitFor();
  await ada.receives('Bo');
  assert.equal(await ada.tile('Bo').count(), 1);
});
