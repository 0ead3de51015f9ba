// Ways to messages and into groups: search with filters, invitations, links, places and cards, in real pages.
import assert from 'node:assert/strict';
import { chatter } from './chatter.mjs';
import { scene, setUp } from './stage.mjs';

setUp();

async function people(stage, ...names) {
  return Promise.all(names.map(async (name) => chatter(await stage.account(name))));
}

async function groupOf(owner, title, fields = {}, others = []) {
  const user_ids = await Promise.all(others.map(async (o) => (await o.api('/users/me')).id));
  return (await owner.api('/groups', { method: 'POST', json: { kind: 'group', title, user_ids, ...fields } })).id;
}

// By the name nobody else has: other scenes have people of the same nickname.
async function pickPerson(dialog, who) {
  await dialog.getByRole('combobox').fill(who.person.username);
  await dialog.getByRole('option', { name: new RegExp(`@${who.person.username}$`) }).click();
}

async function openPanel(who) {
  await who.page.getByRole('button', { name: 'About this group' }).click();
  const panel = who.page.getByRole('complementary', { name: 'About this group' });
  await panel.waitFor();
  return panel;
}

scene('search: filters with and without words, further pages, the place itself, what is here without connection', async (stage) => {
  const ada = chatter(await stage.account('Ada', { isProxied: true }));
  const [bo] = await people(stage, 'Bo');
  const id = await groupOf(ada, 'Rowing club', {}, [bo]);
  for (let i = 0; i < 40; i++) {
    await ada.api('/messages', { method: 'POST', json: { conversation_id: id, client_msg_id: `m${i}`, content: { kind: 'text', text: `oar number ${i}` } } });
  }
  await bo.api('/messages', { method: 'POST', json: { conversation_id: id, client_msg_id: 'b', content: { kind: 'text', text: 'my oar is broken' } } });
  await bo.api('/messages', { method: 'POST', json: { conversation_id: id, client_msg_id: 'p', content: { kind: 'location', text: '', location: { latitude: 52.5, longitude: 13.4, name: 'Boat house' } } } });
  const { page } = ada;
  const results = page.locator('.found-list a');
  await ada.open('/search?q=oar');
  await results.first().waitFor();
  assert.equal(await results.count(), 30);
  await page.getByRole('button', { name: 'More results' }).click();
  await ada.until(async () => assert.equal(await results.count(), 41));
  await page.getByLabel('From', { exact: true }).fill('Bo');
  await page.getByRole('option', { name: /Bo/ }).first().click();
  await ada.until(async () => assert.equal(await results.count(), 1));
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await page.getByRole('searchbox', { name: 'Search messages' }).last().fill('');
  await page.getByLabel('Kind').selectOption('location');
  await ada.until(async () => assert.deepEqual(await results.locator('.conv-line').allInnerTexts(), ['Boat house']));
  await page.getByLabel('Kind').selectOption('');
  await page.getByRole('searchbox', { name: 'Search messages' }).last().fill('number 3');
  await ada.until(async () => assert.ok((await results.count()) >= 1));
  await page.keyboard.press('ArrowDown');
  await results.first().evaluate((a) => { if (document.activeElement !== a) throw new Error('the first result has no focus'); });
  const at = await results.first().locator('.conv-line').innerText();
  await page.keyboard.press('Enter');
  await page.locator('.msg.is-sought', { hasText: at }).waitFor();
  await page.goBack();
  await results.first().waitFor();
  assert.equal(await page.getByRole('searchbox', { name: 'Search messages' }).last().inputValue(), 'number 3');
  ada.person.proxy.cut();
  await page.getByText('searching what this browser keeps').waitFor();
  await ada.until(async () => assert.ok((await results.count()) >= 1));
});

// Where the focus is after the row that had it went away: the name of a control, or the words of a heading.
const keepsFocus = (who, where) =>
  who.until(async () => assert.equal(await who.page.evaluate(() => document.activeElement.ariaLabel ?? document.activeElement.textContent), where));

scene('an invitation: offered, declined, offered again, taken back, accepted', async (stage) => {
  const [ada, bo, cy] = await people(stage, 'Ada', 'Bo', 'Cy');
  const id = await groupOf(ada, 'Book circle', { is_consent_needed: true });
  await ada.open(`/c/${id}`);
  for (const one of [bo, cy]) await one.open();
  const panel = await openPanel(ada);
  const invite = async (who, note) => {
    await panel.getByRole('button', { name: 'Add people' }).click();
    const dialog = ada.page.getByRole('dialog');
    await pickPerson(dialog, who);
    await dialog.getByLabel('A line to them (optional)').fill(note);
    await dialog.getByRole('button', { name: 'Invite', exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
  };
  await invite(bo, 'We read Kafka');
  await bo.page.locator('.offer', { hasText: 'We read Kafka' }).waitFor();
  await invite(cy, '');
  await cy.page.locator('.offer', { hasText: 'Ada invites you' }).waitFor();
  await panel.getByRole('button', { name: 'Take back the invitation of Cy' }).click();
  await cy.page.locator('.offer').waitFor({ state: 'detached' });
  await keepsFocus(ada, 'Take back the invitation of Bo'); // the row that is left
  await bo.page.getByRole('button', { name: 'Accept the invitation to Book circle' }).click();
  await bo.page.waitForURL(new RegExp(`/c/${id}`));
  await bo.say('Glad to be here');
  await ada.sees('Glad to be here');
  await invite(cy, '');
  await cy.page.getByRole('button', { name: 'Decline the invitation to Book circle' }).click();
  await ada.page.getByText('Cy declined the invitation to Book circle').waitFor();
  await cy.page.locator('.offer').waitFor({ state: 'detached' });
  await keepsFocus(cy, 'No messages yet');
  await panel.getByRole('button', { name: 'Take back the invitation of' }).waitFor({ state: 'detached' });
});

scene('a link: made, opened after signing in, revoked', async (stage) => {
  const [ada, bo, cy] = await people(stage, 'Ada', 'Bo', 'Cy');
  const id = await groupOf(ada, 'Choir');
  await ada.open(`/c/${id}`);
  const panel = await openPanel(ada);
  await panel.getByRole('button', { name: 'Create link' }).click();
  const dialog = ada.page.getByRole('dialog');
  await dialog.getByLabel('How many may come in').selectOption('10');
  await dialog.getByRole('button', { name: 'Create link' }).click();
  const link = new URL(await dialog.locator('.new-link').innerText());
  await dialog.getByRole('button').last().focus();
  await ada.page.keyboard.press('Escape'); // it closes the dialog, not the panel below
  await panel.getByText('used 0 of 10 times').waitFor();
  // Bo has to sign in first; the token is in no address on the way.
  await bo.page.context().clearCookies();
  await bo.page.evaluate(() => localStorage.clear());
  await bo.page.goto('about:blank');
  await bo.page.goto(`${bo.person.base}/join${link.hash}`);
  await bo.page.waitForURL(/\/login/);
  assert.ok(!bo.page.url().includes(link.hash.slice(1)));
  await bo.page.fill('input[name=login]', bo.person.username);
  await bo.page.fill('input[name=password]', `${bo.person.username}-password`);
  await bo.page.locator('button[type=submit]').click();
  await bo.page.getByRole('heading', { name: 'Choir' }).waitFor();
  await bo.page.getByRole('button', { name: 'Join' }).click();
  await bo.page.waitForURL(new RegExp(`/c/${id}`));
  await bo.say('La la la');
  await ada.sees('La la la');
  await panel.getByText('used 1 of 10 times').waitFor();
  await panel.getByRole('button', { name: 'Revoke this link' }).click();
  await panel.getByText('There is no link yet.').waitFor();
  await keepsFocus(ada, 'Invitation links');
  await cy.page.goto(`${cy.person.base}/join${link.hash}`);
  await cy.page.getByRole('heading', { name: 'This link does not work any more' }).waitFor();
});

scene('a place and a card; who has scrolled up stays there when the outbox moves', async (stage) => {
  const [ada, bo] = await people(stage, 'Ada', 'Bo');
  const id = await groupOf(ada, 'Hikers', {}, [bo]);
  for (let i = 0; i < 40; i++) {
    await bo.api('/messages', { method: 'POST', json: { conversation_id: id, client_msg_id: `m${i}`, content: { kind: 'text', text: `step ${i}` } } });
  }
  await ada.open(`/c/${id}`);
  await bo.open(`/c/${id}`);
  const { page } = ada;
  await page.locator('.thread').evaluate((e) => e.scrollTo(0, e.scrollHeight));
  await ada.sees('step 39');
  await page.getByRole('button', { name: 'Attach', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Location' }).click();
  await page.getByLabel('Coordinates, or the link of a map').fill('nowhere');
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click();
  await page.getByText('There is no place in this').waitFor();
  await page.getByLabel('Coordinates, or the link of a map').fill('46.5586, 8.5617');
  await page.getByLabel('What is there (optional)').fill('Furka pass');
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click();
  await bo.page.locator('.msg-card', { hasText: 'Furka pass' }).waitFor();
  await page.getByRole('button', { name: 'Attach', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Contact card' }).click();
  await page.getByRole('dialog').getByLabel('Whose?').fill(bo.person.username);
  await page.getByRole('dialog').getByRole('button', { name: new RegExp(`@${bo.person.username}`) }).click();
  await bo.page.locator('.msg-card', { hasText: `@${bo.person.username}` }).waitFor();
  // Another tab's outbox is this one's too.
  await page.locator('.thread').evaluate((e) => e.scrollTo(0, 0));
  await ada.until(async () => assert.ok((await page.locator('.thread').evaluate((e) => e.scrollTop)) < 200));
  const tab = await page.context().newPage();
  const other = new ada.constructor(ada.person, tab);
  await other.open(`/c/${id}`);
  await other.say('from the other tab');
  await bo.sees('from the other tab');
  await page.waitForTimeout(400);
  const box = await page.locator('.thread').evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  assert.ok(box > 300, `who read above was taken to the end (${box} px above it)`);
  await tab.close();
  await ada.say('by my own hand');
  await ada.sees('by my own hand');
});
