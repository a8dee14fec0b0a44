// The focus, the position in the list, and the history of the browser.
// This file tests the use by keyboard, with a screen reader, and with Back. Each test has its own users and pages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { box, details } from './two-users.js';
import { PHONE, Server, inList, launch, openPage, register, signIn, signUp, waitUntil } from './support.js';

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

/** Creates a user with a page, and another user without one. */
async function createUsers(options = {}) {
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

const sendAs = ({ token }, { id }, content) =>
  server.call('POST', `/conversations/${id}/messages`, { token, body: { content } });

const list = (page) => page.getByRole('list', { name: 'Conversations', exact: true });
const newConversation = (page) => page.getByRole('button', { name: 'New conversation', exact: true });
const hasFocus = (locator) => locator.evaluate((element) => element === document.activeElement);

/** Types at once, and checks that the text is in the text box. */
async function canTypeAtOnce(page) {
  await page.keyboard.type('a b');
  assert.equal(await box(page).inputValue(), 'a b');
  assert.equal(await page.getByRole('dialog').count(), 0);
  await box(page).fill('');
}

test('an empty list exists', async () => {
  const { context, page } = await openPage(browser, server);
  await signUp(page, { username: 'newcomer', name: 'New Comer' });
  await page.getByText('It is quiet here').waitFor();
  await list(page).waitFor();
  await context.close();
});

test('the button of the empty list keeps the focus during updates', async () => {
  const { context, page, one } = await createUsers();
  const start = page.getByRole('button', { name: 'Start talking' });
  await start.focus();
  const body = { display_name: 'One Renamed' };
  await server.call('PATCH', '/users/me', { token: one.token, body });
  await page.getByRole('button', { name: 'Settings for One Renamed' }).waitFor();
  assert.ok(await hasFocus(start));
  await context.close();
});

test('a user who starts a conversation can type in it at once', async () => {
  const { context, page, other } = await createUsers();
  const choice = page.getByRole('dialog').getByRole('button', { name: other.name, exact: true });
  const search = page.getByRole('searchbox', { name: 'Find people' });
  const roomIsOpen = (name) => page.getByRole('heading', { name, exact: true }).waitFor();

  await newConversation(page).click();
  await search.fill(other.name);
  await choice.click();
  await roomIsOpen(other.name);
  await canTypeAtOnce(page);

  // Once more, when the conversation is open already.
  await newConversation(page).click();
  await search.fill(other.name);
  await choice.click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await canTypeAtOnce(page);

  await newConversation(page).focus();
  await page.keyboard.press('Enter');
  await page.keyboard.type(other.name);
  await choice.waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await canTypeAtOnce(page);

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
    await roomIsOpen(name);
    await canTypeAtOnce(page);
  }
  await context.close();
});

test('a long list shows the open conversation, and the Tab key reaches only one row', async () => {
  const { context, page, one, other } = await createUsers();
  for (let count = 1; count <= 40; count += 1) await group(one, `Group ${count}`, [other]);
  await inList(page, 'Group 1').click();
  await page.getByRole('heading', { name: 'Group 1', exact: true }).waitFor();
  await page.reload();
  const row = inList(page, 'Group 1');
  await row.waitFor();
  const isVisible = () =>
    row.evaluate((element) => {
      const frame = element.closest('.sidebar-list').getBoundingClientRect();
      const { top, bottom } = element.getBoundingClientRect();
      return top >= frame.top && bottom <= frame.bottom;
    });
  await waitUntil(isVisible, 'the open conversation is visible');

  await box(page).waitFor();
  await newConversation(page).focus();
  await page.keyboard.press('Tab');
  assert.ok(await hasFocus(row), 'Tab reaches the open conversation');
  await page.keyboard.press('ArrowUp');
  assert.ok(await hasFocus(inList(page, 'Group 2')));
  await page.keyboard.press('Tab');
  await page.keyboard.press('Shift+Tab');
  assert.ok(await hasFocus(inList(page, 'Group 2')), 'Tab reaches the row that had the focus last');
  let presses = 0;
  for (; presses < 12 && !(await hasFocus(box(page))); presses += 1) await page.keyboard.press('Tab');
  assert.ok(await hasFocus(box(page)), 'a few presses of Tab reach the text box');
  await context.close();
});

test('on a phone, Back closes an open dialog and shows the list', async () => {
  const { context, page, one, other } = await createUsers({ viewport: PHONE });
  await group(one, 'Pocket', [other]);
  await inList(page, 'Pocket').click();
  await details(page);
  await page.goBack();
  await list(page).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.ok(await hasFocus(inList(page, 'Pocket')));
  await context.close();
});

test('on a phone, the arrow goes back in the history, and Back from the list does not return', async () => {
  const { context, page, one, other } = await createUsers({ viewport: PHONE });
  const { id } = await group(one, 'Pocket', [other]);
  const arrow = page.getByRole('link', { name: 'Back to all conversations' });
  await inList(page, 'Pocket').click();
  await arrow.click();
  await list(page).waitFor();
  await page.goBack();
  assert.ok(!page.url().includes('#/c/'), page.url());

  // After opening the conversation by its address the list is not in the history.
  await page.goto(`${server.url}/#/c/${id}`);
  await arrow.click();
  await list(page).waitFor();
  await page.goBack();
  assert.ok(!page.url().includes('#/c/'), page.url());
  await context.close();
});

test('after removal from the open conversation the focus is in the list', async () => {
  const { context, page, one, other } = await createUsers();
  const focusedText = () =>
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
    await waitUntil(
      async () => (await focusedText()).includes(expected),
      `the focus is on ${expected}`,
      () => '',
    );
  }
  await context.close();
});

test('when a row is removed, the next row gets the focus', async () => {
  const { context, page, one, other } = await createUsers();
  await group(other, 'First', [one]);
  const { id } = await group(other, 'Second', [one]);
  await inList(page, 'Second').focus();
  await server.call('DELETE', `/conversations/${id}/members/${one.id}`, { token: other.token });
  await inList(page, 'Second').waitFor({ state: 'detached' });
  assert.ok(await hasFocus(inList(page, 'First')));
  await context.close();
});

test('unread conversations are announced, and the announcement is removed when all are read', async () => {
  const { context, page, one, other } = await createUsers();
  const room = await group(other, 'Spoken', [one]);
  const mutedRoom = await group(other, 'Muted', [one]);
  await inList(page, 'Spoken').waitFor();
  await inList(page, 'Muted').waitFor();
  await server.call('POST', `/conversations/${mutedRoom.id}/mute`, { token: one.token, body: {} });
  await inList(page, 'Muted').getByText('Muted', { exact: true }).last().waitFor({ state: 'attached' });
  const announcer = page.locator('#app > [role="status"]');
  await announcer.evaluate((element) => {
    window.announcements = [];
    new MutationObserver(() => element.textContent && window.announcements.push(element.textContent)).observe(element, {
      childList: true,
      subtree: true,
      characterData: true,
    });
  });
  const announcements = () => page.evaluate(() => window.announcements);
  await sendAs(other, mutedRoom, 'not announced');
  await inList(page, 'Muted').getByText('1 unread message').waitFor({ state: 'attached' });
  assert.deepEqual(await announcements(), []);
  for (const expected of [1, 2]) {
    await sendAs(other, room, 'announced');
    await waitUntil(
      async () => (await announcements()).length === expected,
      'the message is announced',
      () => '',
    );
    await inList(page, 'Spoken').click();
    await waitUntil(async () => (await announcer.textContent()) === '', 'the announcement is removed');
    await page.goBack();
    await page.getByText('Pick a conversation').waitFor();
  }
  assert.deepEqual(await announcements(), ['1 unread conversation', '1 unread conversation']);
  await context.close();
});
