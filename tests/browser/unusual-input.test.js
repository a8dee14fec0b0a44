// Unusual cases: input that is too long, invalid or invisible, and signing out during a refresh.
// Each test has its own users and pages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { box, close, details } from './two-users.js';
import { PHONE, Server, inList, launch, messageList, openPage, register, signIn, waitUntil } from './support.js';

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

async function createUser(more = {}) {
  number += 1;
  const user = { username: `person${number}`, name: `Person ${number}`, ...more };
  return { ...user, ...(await register(server, user)) };
}

async function openPageAs(user, options = {}) {
  const opened = await openPage(browser, server, options);
  await signIn(opened.page, user);
  return opened;
}

const group = (owner, name, members) =>
  server.call('POST', '/conversations', {
    token: owner.token,
    body: { type: 'group', name, participant_ids: members.map(({ id }) => id) },
  });

test('a user who signs out during a refresh stays signed out, on the device and on the server', async () => {
  const user = await createUser();
  const { context, page } = await openPageAs(user);
  let release;
  const released = new Promise((done) => (release = done));
  await page.route('**/api/v1/auth/refresh', async (route) => {
    const response = await route.fetch();
    await released;
    await route.fulfill({ response });
  });
  const refreshStarted = page.waitForRequest('**/api/v1/auth/refresh');
  await page.reload();
  await refreshStarted;
  await page.getByRole('button', { name: /^Settings for/ }).click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  const logout = page.waitForResponse('**/api/v1/auth/logout');
  release();
  assert.ok((await logout).ok());
  assert.equal(await page.evaluate(() => localStorage.getItem('greenroom.login')), null);
  await page.unroute('**/api/v1/auth/refresh');
  await page.reload();
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  const { items } = await server.call('GET', '/auth/sessions', { token: user.token });
  assert.equal(items.length, 1, 'the login of the page has ended');
  await context.close();
});

test('an invalid address shows the list', async () => {
  const user = await createUser();
  const { context, page, problems } = await openPageAs(user);
  await page.goto('about:blank');
  await page.goto(`${server.url}/#/c/%`);
  await page.getByText('It is quiet here').waitFor();
  await page.getByText('Pick a conversation').waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test('input that is too long is not cut off, and an error is shown', async () => {
  const { context, page } = await openPage(browser, server);
  const password = page.getByRole('textbox', { name: 'Password', exact: true });
  const field = (name) => page.getByRole('textbox', { name, exact: true });
  await page.getByRole('link', { name: 'Create account', exact: true }).click();
  await field('Username').fill('pasted');
  const paste = (input, text) =>
    input.evaluate((element, value) => {
      element.focus();
      document.execCommand('insertText', false, value);
    }, text);
  await paste(password, 'p'.repeat(130));
  assert.equal(await password.inputValue(), 'p'.repeat(130));
  await page.getByText('At most 128 characters: 2 too many.').waitFor();
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  assert.equal(await password.getAttribute('aria-invalid'), 'true');
  await password.fill('😀'.repeat(128));
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  await page.getByRole('button', { name: 'New conversation', exact: true }).click();
  await page.getByRole('checkbox', { name: 'Make a group' }).check();
  await field('Group name').fill('n'.repeat(255));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'n'.repeat(255) }).waitFor();
  const dialog = await details(page);
  await dialog.getByRole('button', { name: 'Change name, picture or description' }).click();
  await paste(field('Description'), 'd'.repeat(2_001));
  assert.equal((await field('Description').inputValue()).length, 2_001);
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.getByText('At most 2,000 characters: 1 too many.').waitFor();
  await close(page);
  await paste(box(page), 'm'.repeat(40_001));
  await page.getByText('30001 characters too many').waitFor();
  await box(page).fill('');
  await context.close();
});

test('a user who is added to an old group sees its newest message', async () => {
  const [owner, other, added] = [await createUser(), await createUser(), await createUser()];
  const { context, page } = await openPageAs(added);
  const { id } = await group(owner, 'Old group', [other]);
  const body = { content: 'Long ago' };
  await server.call('POST', `/conversations/${id}/messages`, { token: owner.token, body });
  await page.getByText('It is quiet here').waitFor();
  await server.call('POST', `/conversations/${id}/members`, { token: owner.token, body: { user_ids: [added.id] } });
  await inList(page, 'Old group')
    .getByText(/added|Long ago/)
    .waitFor();
  await context.close();
});

for (const [screen, options] of [
  ['a wide', {}],
  ['a narrow', { viewport: PHONE }],
])
  test(`the longest names fit on ${screen} screen`, async () => {
    const long = 'W'.repeat(255);
    const user = await createUser();
    const other = await createUser({ name: long });
    const { context, page } = await openPageAs(user, options);
    const { id } = await group(user, long, [other]);
    const fitsScreen = async (part) => {
      const outside = await page.evaluate(() =>
        [...document.querySelectorAll('body *')]
          .filter((element) => element.checkVisibility() && !element.closest('.sr-only, svg'))
          .filter((element) => {
            const { left, right, width } = element.getBoundingClientRect();
            // Text behind an ellipsis is hidden on purpose.
            const clipped = element.parentElement.closest('.conversation-name, .conversation-preview, .room-title');
            return width > 0 && !clipped && (left < -1 || right > innerWidth + 1);
          })
          .map((element) => `${element.tagName} ${element.className}`),
      );
      assert.deepEqual(outside, [], part);
    };
    await inList(page, long).click();
    const line = messageList(page).locator('.system p').first();
    await line.waitFor();
    const [text, frame] = await Promise.all([line.boundingBox(), messageList(page).boundingBox()]);
    assert.ok(text.x >= frame.x && text.x + text.width <= frame.x + frame.width, 'the line is inside the message list');
    await server.call('POST', `/conversations/${id}/messages`, { token: other.token, body: { content: 'here' } });
    await messageList(page).getByText('here', { exact: true }).waitFor();
    await fitsScreen('room');
    const dialog = await details(page);
    await dialog.getByRole('list', { name: 'Members' }).getByText(long).waitFor();
    await dialog.getByText('Statistics').click();
    await dialog.getByRole('list', { name: 'Messages by member' }).getByText(long).waitFor();
    await fitsScreen('details');
    await dialog.getByRole('button', { name: `Manage ${long}` }).click();
    await fitsScreen('menu');
    await page.getByRole('menuitem', { name: 'Remove from the group' }).click();
    await fitsScreen('question');
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await close(page);
    await server.call('DELETE', `/conversations/${id}`, { token: user.token });
    await page.getByText('You are no longer in').waitFor();
    await fitsScreen('toast');
    await page.getByRole('button', { name: 'New conversation', exact: true }).click();
    await page.getByRole('checkbox', { name: 'Make a group' }).check();
    await page.getByRole('searchbox', { name: 'Find people' }).fill(long.slice(0, 20));
    await page.getByRole('dialog').getByRole('button', { name: long, exact: true }).first().click();
    await fitsScreen('picker');
    await close(page);
    await server.call('POST', '/conversations', {
      token: other.token,
      body: { type: 'direct', participant_ids: [user.id] },
    });
    await inList(page, long).click();
    const about = await details(page);
    await about.getByRole('button', { name: 'Block', exact: true }).click();
    await page.getByRole('button', { name: 'Block', exact: true }).last().click();
    await close(page);
    await page.getByText('Unblock to write again.').waitFor();
    await fitsScreen('blocked');
    await page.goBack();
    await page.getByRole('button', { name: /^Settings for/ }).click();
    await page.getByRole('button', { name: `Unblock ${long}` }).waitFor();
    await fitsScreen('settings');
    await context.close();
  });

test('an invisible message cannot be sent', async () => {
  const [user, other] = [await createUser(), await createUser()];
  const { context, page } = await openPageAs(user);
  await group(user, 'Visible', [other]);
  await inList(page, 'Visible').click();
  const send = page.getByRole('button', { name: 'Send', exact: true });
  for (const text of ['\u200b', ' \u2060\n\u3164', '\ufe0f']) {
    await box(page).fill(text);
    assert.ok(await send.isDisabled(), JSON.stringify(text));
  }
  await box(page).fill('\u200ba');
  assert.ok(await send.isEnabled());
  await box(page).fill('');
  await context.close();
});

test('a key that an input method uses sends nothing', async () => {
  const [user, other] = [await createUser(), await createUser()];
  await group(user, 'Words', [other]);
  const { context, page } = await openPageAs(user);
  await inList(page, 'Words').click();
  await box(page).fill('tiếng Việt');
  // In Safari this Enter comes after the end of the word, and says so only by its code.
  const isHandled = await box(page).evaluate((element) => {
    const event = new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true });
    return !element.dispatchEvent(event);
  });
  assert.equal(isHandled, false);
  assert.equal(await box(page).inputValue(), 'tiếng Việt');
  await box(page).press('Enter');
  await messageList(page).getByText('tiếng Việt', { exact: true }).waitFor();
  assert.equal(await box(page).inputValue(), '');
  await context.close();
});

test('on a touch screen Enter begins a new line, and the button sends', async () => {
  const [user, other] = [await createUser(), await createUser()];
  await group(user, 'Pocket', [other]);
  const { context, page } = await openPageAs(user, { viewport: PHONE, hasTouch: true, isMobile: true });
  await inList(page, 'Pocket').click();
  await box(page).fill('one');
  await box(page).press('Enter');
  await box(page).pressSequentially('two');
  assert.equal(await box(page).inputValue(), 'one\ntwo');
  await page.getByRole('button', { name: 'Send', exact: true }).tap();
  await messageList(page).getByText('one\ntwo', { exact: true }).waitFor();
  await context.close();
});
