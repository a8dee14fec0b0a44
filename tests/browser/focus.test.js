// Where one is: the focus, the list's place, and what lies behind in the history.
// Lives here: finding one's way by keyboard, by ear and by the system's Back. Each test has people and pages of its own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { box, details } from './meeting.js';
import { PHONE, Server, inList, launch, openPage, register, signIn, signUp, until } from './support.js';

let server;
let browser;
let number = 0;

before(async () => {
  server = await Server.create();
  await server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

/** Somebody new with a page, and another one who is there too. */
async function two(options = {}) {
  number += 1;
  const one = { username: `one${number}`, name: `One ${number}` };
  const other = { username: `other${number}`, name: `Other ${number}` };
  Object.assign(one, await register(server, one));
  Object.assign(other, await register(server, other));
  const opened = await openPage(browser, server, options);
  await signIn(opened.page, one);
  return { one, other, ...opened };
}

const group = (owner, name, members) =>
  server.call('POST', '/conversations', {
    token: owner.token,
    body: { type: 'group', name, participant_ids: members.map(({ id }) => id) },
  });

const write = ({ token }, { id }, content) =>
  server.call('POST', `/conversations/${id}/messages`, { token, body: { content } });

const list = (page) => page.getByRole('list', { name: 'Conversations', exact: true });
const newConversation = (page) => page.getByRole('button', { name: 'New conversation', exact: true });
const focused = (locator) => locator.evaluate((element) => element === document.activeElement);

/** Types without looking where; the words must be in the box. */
async function writesAtOnce(page) {
  await page.keyboard.type('a b');
  assert.equal(await box(page).inputValue(), 'a b');
  assert.equal(await page.getByRole('dialog').count(), 0);
  await box(page).fill('');
}

test('the list is there before there is anything in it', async () => {
  const { context, page } = await openPage(browser, server);
  await signUp(page, { username: 'newcomer', name: 'New Comer' });
  await page.getByText('It is quiet here').waitFor();
  await list(page).waitFor();
  await context.close();
});

test('what offers to start talking keeps the focus while people come and go', async () => {
  const { context, page, one } = await two();
  const start = page.getByRole('button', { name: 'Start talking' });
  await start.focus();
  const body = { display_name: 'One Renamed' };
  await server.call('PATCH', '/users/me', { token: one.token, body });
  await page.getByRole('button', { name: 'Settings for One Renamed' }).waitFor();
  assert.ok(await focused(start));
  await context.close();
});

test('who starts a conversation writes in it at once', async () => {
  const { context, page, other } = await two();
  const choice = page.getByRole('dialog').getByRole('button', { name: other.name, exact: true });
  const search = page.getByRole('searchbox', { name: 'Find people' });
  const arrived = (name) => page.getByRole('heading', { name, exact: true }).waitFor();

  await newConversation(page).click();
  await search.fill(other.name);
  await choice.click();
  await arrived(other.name);
  await writesAtOnce(page);

  // Once more: it is open already.
  await newConversation(page).click();
  await search.fill(other.name);
  await choice.click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await writesAtOnce(page);

  await newConversation(page).focus();
  await page.keyboard.press('Enter');
  await page.keyboard.type(other.name);
  await choice.waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await writesAtOnce(page);

  for (const [name, press] of [
    ['By mouse', () => page.getByRole('button', { name: 'Create group', exact: true }).click()],
    ['By keyboard', () => page.keyboard.press('Enter')],
  ]) {
    await newConversation(page).click();
    await page.getByRole('checkbox', { name: 'Make a group' }).check();
    await search.fill(other.name);
    await choice.click();
    await page.getByRole('textbox', { name: 'Group name' }).fill(name);
    await press();
    await arrived(name);
    await writesAtOnce(page);
  }
  await context.close();
});

test('a long list shows the open conversation and is one stop of the Tab key', async () => {
  const { context, page, one, other } = await two();
  for (let count = 1; count <= 40; count += 1) await group(one, `Group ${count}`, [other]);
  await inList(page, 'Group 1').click();
  await page.getByRole('heading', { name: 'Group 1', exact: true }).waitFor();
  await page.reload();
  const row = inList(page, 'Group 1');
  await row.waitFor();
  const inSight = () =>
    row.evaluate((element) => {
      const frame = element.closest('.sidebar-list').getBoundingClientRect();
      const { top, bottom } = element.getBoundingClientRect();
      return top >= frame.top && bottom <= frame.bottom;
    });
  await until(inSight, 'the open conversation is in sight');

  await box(page).waitFor();
  await newConversation(page).focus();
  await page.keyboard.press('Tab');
  assert.ok(await focused(row), 'the open conversation is the stop');
  await page.keyboard.press('ArrowUp');
  assert.ok(await focused(inList(page, 'Group 2')));
  await page.keyboard.press('Tab');
  await page.keyboard.press('Shift+Tab');
  assert.ok(await focused(inList(page, 'Group 2')), 'the stop is where one was');
  let stops = 0;
  for (; stops < 12 && !(await focused(box(page))); stops += 1) await page.keyboard.press('Tab');
  assert.ok(await focused(box(page)), 'the box is a few stops away');
  await context.close();
});

test('on a phone, Back closes what is open over a conversation and leads to the list', async () => {
  const { context, page, one, other } = await two({ viewport: PHONE });
  await group(one, 'Pocket', [other]);
  await inList(page, 'Pocket').click();
  await details(page);
  await page.goBack();
  await list(page).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.ok(await focused(inList(page, 'Pocket')));
  await context.close();
});

test('on a phone, the arrow goes back in the history, and Back from the list does not return', async () => {
  const { context, page, one, other } = await two({ viewport: PHONE });
  const { id } = await group(one, 'Pocket', [other]);
  const arrow = page.getByRole('link', { name: 'Back to all conversations' });
  await inList(page, 'Pocket').click();
  await arrow.click();
  await list(page).waitFor();
  await page.goBack();
  assert.ok(!page.url().includes('#/c/'), page.url());

  // Opened by its address there is no list behind it.
  await page.goto(`${server.url}/#/c/${id}`);
  await arrow.click();
  await list(page).waitFor();
  await page.goBack();
  assert.ok(!page.url().includes('#/c/'), page.url());
  await context.close();
});

test('who is removed from the conversation on the screen can go on', async () => {
  const { context, page, one, other } = await two();
  const place = () =>
    page.evaluate(() => document.activeElement !== document.body && document.activeElement.textContent);
  const rooms = [await group(other, 'First', [one]), await group(other, 'Second', [one])];
  for (const [index, name] of ['First', 'Second'].entries()) {
    await inList(page, name).click();
    await box(page).waitFor();
    if (index === 0) await details(page);
    else await box(page).focus();
    await server.call('DELETE', `/conversations/${rooms[index].id}/members/${one.id}`, { token: other.token });
    await page.getByText(`You are no longer in “${name}”.`).waitFor();
    const expected = index === 0 ? 'Second' : 'Start talking';
    await until(
      async () => (await place()).includes(expected),
      `the focus is on ${expected}`,
      () => '',
    );
  }
  await context.close();
});

test('a row that goes hands the focus to its neighbour', async () => {
  const { context, page, one, other } = await two();
  await group(other, 'First', [one]);
  const { id } = await group(other, 'Second', [one]);
  await inList(page, 'Second').focus();
  await server.call('DELETE', `/conversations/${id}/members/${one.id}`, { token: other.token });
  await inList(page, 'Second').waitFor({ state: 'detached' });
  assert.ok(await focused(inList(page, 'First')));
  await context.close();
});

test('every unread conversation is said, and nothing of it stays when all is read', async () => {
  const { context, page, one, other } = await two();
  const room = await group(other, 'Spoken', [one]);
  const quiet = await group(other, 'Muted', [one]);
  await inList(page, 'Spoken').waitFor();
  await inList(page, 'Muted').waitFor();
  await server.call('POST', `/conversations/${quiet.id}/mute`, { token: one.token, body: {} });
  await inList(page, 'Muted').getByText('Muted', { exact: true }).last().waitFor({ state: 'attached' });
  const voice = page.locator('#app > [role="status"]');
  await voice.evaluate((element) => {
    window.heard = [];
    new MutationObserver(() => element.textContent && window.heard.push(element.textContent)).observe(element, {
      childList: true,
      subtree: true,
      characterData: true,
    });
  });
  const heard = () => page.evaluate(() => window.heard);
  await write(other, quiet, 'nobody hears this');
  await inList(page, 'Muted').getByText('1 unread message').waitFor({ state: 'attached' });
  assert.deepEqual(await heard(), []);
  for (const expected of [1, 2]) {
    await write(other, room, 'hear, hear');
    await until(
      async () => (await heard()).length === expected,
      'it is said',
      () => '',
    );
    await inList(page, 'Spoken').click();
    await until(async () => (await voice.textContent()) === '', 'nothing of it stays');
    await page.goBack();
    await page.getByText('Pick a conversation').waitFor();
  }
  assert.deepEqual(await heard(), ['1 unread conversation', '1 unread conversation']);
  await context.close();
});
