// Two people and a group talk in real pages: what one does, the others see.
import assert from 'node:assert/strict';
import { chatter } from './chatter.mjs';
import { scene, setUp } from './stage.mjs';

setUp();

async function people(stage, ...names) {
  return Promise.all(names.map(async (name) => chatter(await stage.account(name))));
}

async function groupOf(owner, title, others) {
  const { id } = await owner.api('/groups', { method: 'POST', json: { kind: 'group', title, user_ids: await Promise.all(others.map(async (o) => (await o.api('/users/me')).id)) } });
  return id;
}

scene('two people: written, seen, typed, read, answered', async (stage) => {
  const [ada, bo] = await people(stage, 'Ada', 'Bo');
  await ada.open();
  await bo.open();
  await ada.begin('Bo');
  await ada.say('Hello **Bo**');
  await ada.sees('Hello Bo');
  await bo.page.locator('.conv', { hasText: 'Ada' }).locator('.badge').waitFor();
  await ada.isTicked('Hello Bo', 'delivered');
  await bo.choose('Ada');
  await bo.sees('Hello Bo');
  assert.equal(await bo.bubble('Hello Bo').locator('strong').innerText(), 'Bo');
  await bo.page.locator('.conv .badge').waitFor({ state: 'detached' });
  await ada.isTicked('Hello Bo', 'read');
  await bo.page.locator('.composer textarea').pressSequentially('Hi');
  await ada.page.locator('.chat-typing', { hasText: 'Bo is typing' }).waitFor();
  await bo.page.keyboard.press('Enter');
  await ada.sees('Hi');
  await ada.page.locator('.chat-typing', { hasNotText: 'typing' }).waitFor();
});

scene('a group: reaction, edit, recall, search', async (stage) => {
  const [ada, bo, cy] = await people(stage, 'Ada', 'Bo', 'Cy');
  const id = await groupOf(ada, 'Rowing club', [bo, cy]);
  for (const one of [ada, bo, cy]) await one.open(`/c/${id}`);
  await ada.say('Training is on Wensday at 会议室');
  for (const one of [bo, cy]) await one.sees('Training is on');
  await bo.bubble('Training').hover();
  await bo.bubble('Training').getByRole('button', { name: 'React' }).click();
  await bo.page.getByRole('menuitem', { name: '👍' }).or(bo.page.getByRole('button', { name: '👍' })).first().click();
  await cy.bubble('Training').locator('.msg-reaction', { hasText: '👍' }).waitFor();
  await ada.act('Training', 'Edit');
  await ada.page.locator('.composer textarea').fill('Training is on Wednesday at 会议室');
  await ada.page.keyboard.press('Enter');
  await cy.sees('on Wednesday');
  await cy.bubble('on Wednesday').getByText('edited').waitFor();
  assert.equal(await cy.bubble('on Wednesday').locator('.msg-reaction[aria-pressed=true]').count(), 0, 'the reaction is Bo’s');
  await bo.say('I bring cake');
  await ada.sees('I bring cake');
  await bo.act('I bring cake', 'Take back');
  await bo.page.getByRole('dialog').getByRole('button', { name: 'Take back' }).click();
  for (const one of [ada, cy]) {
    await one.page.locator('.msg-bubble.is-gone').waitFor();
    assert.ok(!(await one.texts()).includes('I bring cake'));
  }
  await cy.page.locator('.chat-search input').fill('会议');
  await cy.page.locator('.chat-list a[href*="at="]', { hasText: 'Wednesday' }).waitFor();
  await cy.page.locator('.chat-search input').fill('wednes');
  await cy.page.locator('.chat-list a[href*="at="]', { hasText: 'Wednesday' }).click();
  await cy.page.locator('.msg.is-sought', { hasText: 'Wednesday' }).waitFor();
});
