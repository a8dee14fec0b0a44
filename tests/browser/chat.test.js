// Two users in two browsers, and a server that is killed while they write.
// The tests of this file depend on each other: each continues where the one before it ended.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  PASSWORD,
  SCREENSHOTS,
  Server,
  inList,
  launch,
  messageList,
  openPage,
  register,
  send,
  waitForTexts,
  signIn,
  signUp,
  messageTexts,
  waitUntil,
  writeTo,
} from './support.js';

const ANA = { username: 'ana', name: 'Ana Lindqvist' };
const BEN = { username: 'ben', name: 'Ben Okafor' };
const CAM = { username: 'cam', name: 'Cam Duarte' };
const GROUP = 'Garden club';

let server;
let browser;
let ana;
let ben;
let cam;

before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  server = await Server.create();
  await server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

/** Takes a screenshot for people. No test reads it. */
const screenshot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });

test('users create accounts and are in the app', async () => {
  ana = await openPage(browser, server);
  ben = await openPage(browser, server);
  await screenshot(ana.page, 'sign-in-light');
  await signUp(ana.page, ANA);
  await signUp(ben.page, BEN);
  cam = await register(server, CAM);
  await screenshot(ana.page, 'empty-light');
});

test('two users find each other and send messages', async () => {
  await writeTo(ana.page, BEN.name);
  await send(ana.page, 'Hello Ben!');
  await inList(ben.page, ANA.name).click();
  await waitForTexts(ben.page, ['Hello Ben!']);
  await send(ben.page, 'Ana! You are here too.');
  await send(ben.page, 'Two lines\nin one message, and https://example.org/a(b) as a link.');
  await waitForTexts(ana.page, [
    'Hello Ben!',
    'Ana! You are here too.',
    'Two lines\nin one message, and https://example.org/a(b) as a link.',
  ]);
  assert.equal(await messageList(ana.page).getByRole('link').getAttribute('href'), 'https://example.org/a(b)');
});

test('markup in a message stays text', async () => {
  await send(ana.page, '<img src=x onerror=alert(1)> &amp; <b>bold</b>');
  await messageList(ben.page).getByText('<img src=x onerror=alert(1)> &amp; <b>bold</b>', { exact: true }).waitFor();
  assert.equal(await messageList(ben.page).locator('b, img').count(), 0);
});

test('each user sees that the other is online, types, and has read', async () => {
  await inList(ana.page, BEN.name).getByText('Online').waitFor({ state: 'attached' });
  await messageList(ana.page).locator('.status-seen').first().waitFor();
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).pressSequentially('thinking');
  await ana.page.locator('.typing-line').getByText('is typing').waitFor();
  await inList(ana.page, BEN.name).getByText('typing').waitFor();
  await screenshot(ana.page, 'typing-light');
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).fill('');
  await waitUntil(async () => !(await ana.page.locator('.typing-line').textContent()), 'the indicator is gone');
});

test('Shift and Enter add a line, Enter sends, the limit is counted in characters', async () => {
  const box = ben.page.getByRole('textbox', { name: 'Message', exact: true });
  await box.fill('one');
  await box.press('Shift+Enter');
  await box.pressSequentially('two');
  assert.equal(await box.inputValue(), 'one\ntwo');
  await box.fill('😀'.repeat(10_001));
  assert.ok(await ben.page.getByRole('button', { name: 'Send', exact: true }).isDisabled());
  await ben.page.getByText('1 character too many').waitFor();
  await box.fill('😀'.repeat(9_990));
  assert.ok(await ben.page.getByRole('button', { name: 'Send', exact: true }).isEnabled());
  await box.fill('');
});

test('a user creates a group of three', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: 'New conversation', exact: true }).click();
  await page.getByRole('checkbox', { name: 'Make a group' }).check();
  for (const { name } of [BEN, CAM]) {
    await page.getByRole('searchbox', { name: 'Find people' }).fill(name);
    await page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
  }
  await page.getByRole('textbox', { name: 'Group name' }).fill(GROUP);
  await screenshot(page, 'new-group-light');
  await page.getByRole('button', { name: 'Create group', exact: true }).click();
  await page.getByRole('heading', { name: GROUP, exact: true }).waitFor();
  await messageList(page).getByText(`You created “${GROUP}”`).waitFor();
  await page.locator('.room-subtitle').getByText('3 members').waitFor();
  await send(page, 'Who waters the tomatoes on Saturday?');
  let conversation;
  await waitUntil(async () => {
    conversation = await conversationOf(cam.token, GROUP);
    return conversation.last_message.content.startsWith('Who waters');
  }, 'the question is stored before the answer is sent');
  await server.call('POST', `/conversations/${conversation.id}/messages`, {
    token: cam.token,
    body: { content: 'I can.', temp_id: 'cam-1' },
  });
  await messageList(page).getByText('I can.').waitFor();
  await messageList(page).getByText(CAM.name).first().waitFor();
});

test('messages in another conversation are counted, shown below a line, and read when it is opened', async () => {
  await waitUntil(async () => (await ben.page.title()) === '(2) Greenroom', 'the title counts 2');
  await inList(ben.page, GROUP).getByText('2 unread messages').waitFor({ state: 'attached' });
  await screenshot(ben.page, 'unread-light');
  await inList(ben.page, GROUP).click();
  await messageList(ben.page).getByText('New messages').waitFor();
  await waitUntil(async () => (await ben.page.title()) === 'Greenroom', 'the title counts nothing');
  await send(ben.page, 'And I bring the good can.');
  await waitForTexts(ana.page, ['Who waters the tomatoes on Saturday?', 'I can.', 'And I bring the good can.']);
});

test('a reply shows the quoted message', async () => {
  const message = messageList(ana.page).locator('.message').filter({ hasText: 'I can.' });
  await message.hover();
  await message.getByRole('button', { name: 'Reply' }).click();
  await ana.page.getByText(`Replying to ${CAM.name}`).waitFor();
  await send(ana.page, 'Thank you!');
  await messageList(ben.page).locator('.quote').getByText('I can.').waitFor();
});

test('the group shows its members; one is removed and added again', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: 'Group details' }).click();
  await page.getByRole('list', { name: 'Members' }).getByText(CAM.name).waitFor();
  await screenshot(page, 'members-light');
  await page.getByRole('button', { name: `Manage ${CAM.name}` }).click();
  await page.getByRole('menuitem', { name: 'Remove from the group' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await waitUntil(
    async () => (await page.getByRole('list', { name: 'Members' }).getByRole('listitem').count()) === 2,
    'two members are left',
  );
  await messageList(ben.page).getByText(`${ANA.name} removed ${CAM.name}`).waitFor();
  await page.getByRole('button', { name: 'Add people' }).click();
  await page.getByRole('searchbox', { name: 'Find people' }).fill('cam');
  await page.getByRole('dialog').getByRole('button', { name: CAM.name, exact: true }).click();
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await messageList(ben.page).getByText(`${ANA.name} added ${CAM.name}`).waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await page.locator('.room-subtitle').getByText('3 members').waitFor();
});

test('when the server is killed while both write, every message arrives once and in order', async () => {
  const count = 12;
  const milestones = { kill: milestone(), restart: milestone() };
  const write = async ({ page }, author, progress, at) => {
    for (let number = 1; number <= count; number += 1) {
      await send(page, `${author} ${number}`);
      if (number === at) progress.reach();
    }
  };
  const earlier = await messageTexts(ana.page);
  const killAndRestart = async () => {
    await milestones.kill.reached;
    await server.kill();
    await milestones.restart.reached;
    await ana.page.getByText(/No connection|offline/).waitFor();
    await screenshot(ana.page, 'no-connection-light');
    await server.start();
  };
  await Promise.all([write(ana, 'A', milestones.kill, 4), write(ben, 'B', milestones.restart, 9), killAndRestart()]);
  for (const { page } of [ana, ben])
    await waitUntil(
      async () => (await messageTexts(page)).length === earlier.length + 2 * count,
      `${2 * count} more messages are there`,
      () => '',
    );
  await waitUntil(async () => (await messageList(ana.page).locator('.pending').count()) === 0, 'nothing is pending');
  const both = [await messageTexts(ana.page), await messageTexts(ben.page)];
  assert.deepEqual(both[0], both[1]);
  assert.deepEqual(both[0].slice(0, earlier.length), earlier);
  for (const author of ['A', 'B']) {
    const ownTexts = both[0].filter((text) => text.startsWith(`${author} `));
    assert.deepEqual(
      ownTexts,
      Array.from({ length: count }, (_, index) => `${author} ${index + 1}`),
    );
  }
  const { id } = await conversationOf(cam.token, GROUP);
  const page = await server.call('GET', `/conversations/${id}/messages?limit=100`, { token: cam.token });
  assert.deepEqual(
    page.items.filter(({ type }) => type !== 'system').map(({ content }) => content),
    both[0],
  );
  assert.deepEqual(
    page.items.map(({ seq }) => seq),
    page.items.map((_, index) => index + 1),
  );
});

test('a page that was offline sends its messages and gets the missed ones', async () => {
  const before = await messageTexts(ana.page);
  await ben.context.setOffline(true);
  await ben.page.getByText('You are offline').waitFor();
  await send(ben.page, 'written offline, first');
  await send(ben.page, 'written offline, second');
  await messageList(ben.page).locator('.pending').getByText('written offline, second').waitFor();
  await send(ana.page, 'said meanwhile');
  await messageList(ana.page).getByText('said meanwhile').waitFor();
  await screenshot(ben.page, 'offline-light');
  await ben.context.setOffline(false);
  const expected = [...before, 'said meanwhile', 'written offline, first', 'written offline, second'];
  await waitForTexts(ben.page, expected);
  await waitForTexts(ana.page, expected);
});

test('a reload keeps unsent messages, and sends them once', async () => {
  const before = await messageTexts(ana.page);
  await server.kill();
  await ben.page.getByText(/No connection/).waitFor();
  await send(ben.page, 'typed before the reload');
  await messageList(ben.page).locator('.pending').getByText('typed before the reload').waitFor();
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).fill('a draft');
  const address = ben.page.url();
  await ben.page.reload().catch(() => {});
  await server.start();
  await waitUntil(
    () =>
      ben.page.goto(address).then(
        () => true,
        () => false,
      ),
    'the page loads again',
  );
  await waitForTexts(ben.page, [...before, 'typed before the reload']);
  await waitForTexts(ana.page, [...before, 'typed before the reload']);
  assert.equal(await ben.page.getByRole('textbox', { name: 'Message', exact: true }).inputValue(), 'a draft');
  await ben.page.reload();
  await waitForTexts(ben.page, [...before, 'typed before the reload']);
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).fill('');
});

test('a second tab of the same user shows the same, and signing out affects both', async () => {
  const tab = await ben.context.newPage();
  await tab.goto(ben.page.url());
  await send(tab, 'from the second tab');
  // For a moment the first tab can show neither the unsent message of the second tab nor the event of that message.
  const same = async () => {
    const [one, other] = [await messageTexts(ben.page), await messageTexts(tab)];
    return one.at(-1) === 'from the second tab' && one.join('\n') === other.join('\n');
  };
  await waitUntil(same, 'both tabs show the same');
  await tab.getByRole('button', { name: `Settings for ${BEN.name}` }).click();
  await tab.getByRole('list', { name: 'Signed-in devices' }).getByText('This device').waitFor();
  await screenshot(tab, 'settings-light');
  await tab.getByRole('button', { name: 'Sign out', exact: true }).click();
  for (const page of [tab, ben.page]) await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  await tab.close();
  await signIn(ben.page, BEN);
  await inList(ben.page, GROUP).click();
});

test('a refused message shows an error, and can be discarded', async () => {
  await send(ben.page, 'a\u0000b');
  await messageList(ben.page).getByText('Not delivered').waitFor();
  await messageList(ben.page).getByRole('button', { name: 'Try again' }).click();
  await messageList(ben.page).getByText('Not delivered').waitFor();
  await send(ben.page, 'the next one is not delayed');
  await messageList(ana.page).getByText('the next one is not delayed').waitFor();
  await messageList(ben.page).getByRole('button', { name: 'Discard' }).click();
  await waitForTexts(ben.page, await messageTexts(ana.page));
});

test('a user changes the name and the password', async () => {
  const { page } = ben;
  await page.getByRole('button', { name: `Settings for ${BEN.name}` }).click();
  await page.getByRole('textbox', { name: 'Display name', exact: true }).fill('Benedict Okafor');
  await page.getByRole('button', { name: 'Save name' }).click();
  await page.getByText('Saved.').waitFor();
  await page.getByRole('textbox', { name: 'Display name', exact: true }).fill(BEN.name);
  await page.getByRole('button', { name: 'Save name' }).click();
  await page.getByRole('textbox', { name: 'Current password' }).fill(PASSWORD);
  await page.getByRole('textbox', { name: 'New password' }).fill(`${PASSWORD}, again`);
  await page.getByRole('button', { name: 'Change password' }).click();
  await page.getByText('Your password was changed.').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await send(page, 'still here');
  await messageList(ana.page).getByText('still here').waitFor();
});

test('everything can be used without a mouse', async () => {
  const { page } = ben;
  await inList(page, GROUP).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: ANA.name, exact: true }).waitFor();
  await page.keyboard.type('written by keyboard');
  await page.keyboard.press('Enter');
  await messageList(page).getByText('written by keyboard').waitFor();
  await page.keyboard.press('Escape');
  await waitUntil(
    () => inList(page, ANA.name).evaluate((element) => element === document.activeElement),
    'Escape gives the focus to the list',
  );
  await page.keyboard.press('Control+k');
  await page.getByRole('searchbox', { name: 'Find people' }).waitFor();
  await page.keyboard.type('cam');
  await page.getByRole('dialog').getByRole('button', { name: CAM.name, exact: true }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: CAM.name, exact: true }).waitFor();
  await inList(page, GROUP).click();
});

test('a user who leaves a group no longer sees it, and the others see a system message', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: 'New conversation', exact: true }).click();
  await page.getByRole('checkbox', { name: 'Make a group' }).check();
  await page.getByRole('searchbox', { name: 'Find people' }).fill(BEN.name);
  await page.getByRole('dialog').getByRole('button', { name: BEN.name, exact: true }).click();
  await page.getByRole('textbox', { name: 'Group name' }).fill('Short lived');
  await page.getByRole('button', { name: 'Create group', exact: true }).click();
  await inList(ben.page, 'Short lived').click();
  await ben.page.getByRole('button', { name: 'Group details' }).click();
  await ben.page.getByRole('button', { name: 'Leave group' }).click();
  await ben.page.getByRole('button', { name: 'Leave', exact: true }).click();
  await inList(ben.page, 'Short lived').waitFor({ state: 'detached' });
  await messageList(page).getByText(`${BEN.name} left`).waitFor();
  for (const one of [ana, ben]) await inList(one.page, GROUP).click();
});

test('a user who closes the last page is shown as offline', async () => {
  await inList(ana.page, BEN.name).getByText('Online').waitFor({ state: 'attached' });
  await ben.context.close();
  await inList(ana.page, BEN.name).getByText('Offline').waitFor({ state: 'attached' });
});

test('no page reported errors', () => {
  assert.deepEqual(ana.problems, []);
  assert.deepEqual(ben.problems, []);
});

async function conversationOf(token, name) {
  const { items } = await server.call('GET', '/conversations', { token });
  return items.find((conversation) => conversation.name === name);
}

/** Returns a promise `reached` and the function `reach` that resolves it. */
function milestone() {
  let reach;
  const reached = new Promise((done) => (reach = done));
  return { reach, reached };
}
