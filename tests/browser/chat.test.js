// Two people, two browsers, one server that is killed under them.
// The tests of this file tell one story and run in its order: each goes on where the one before it ended.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  PASSWORD,
  SHOTS,
  Server,
  inList,
  launch,
  log,
  openPage,
  register,
  say,
  shows,
  signIn,
  signUp,
  texts,
  until,
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
  await mkdir(SHOTS, { recursive: true });
  server = await Server.create();
  await server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

/** A picture for human eyes; no test reads it. */
const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`) });

test('newcomers make accounts and are in the app', async () => {
  ana = await openPage(browser, server);
  ben = await openPage(browser, server);
  await shot(ana.page, 'sign-in-light');
  await signUp(ana.page, ANA);
  await signUp(ben.page, BEN);
  cam = await register(server, CAM);
  await shot(ana.page, 'empty-light');
});

test('they find each other and talk', async () => {
  await writeTo(ana.page, BEN.name);
  await say(ana.page, 'Hello Ben!');
  await inList(ben.page, ANA.name).click();
  await shows(ben.page, ['Hello Ben!']);
  await say(ben.page, 'Ana! You are here too.');
  await say(ben.page, 'Two lines\nin one message, and https://example.org/a(b) as a link.');
  await shows(ana.page, [
    'Hello Ben!',
    'Ana! You are here too.',
    'Two lines\nin one message, and https://example.org/a(b) as a link.',
  ]);
  assert.equal(await log(ana.page).getByRole('link').getAttribute('href'), 'https://example.org/a(b)');
});

test('what looks like markup stays text', async () => {
  await say(ana.page, '<img src=x onerror=alert(1)> &amp; <b>bold</b>');
  await log(ben.page).getByText('<img src=x onerror=alert(1)> &amp; <b>bold</b>', { exact: true }).waitFor();
  assert.equal(await log(ben.page).locator('b, img').count(), 0);
});

test('each sees the other there, typing, and having read', async () => {
  await inList(ana.page, BEN.name).getByText('Online').waitFor({ state: 'attached' });
  await log(ana.page).locator('.status-seen').first().waitFor();
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).pressSequentially('thinking');
  await ana.page.locator('.typing-line').getByText('is typing').waitFor();
  await inList(ana.page, BEN.name).getByText('typing').waitFor();
  await shot(ana.page, 'typing-light');
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).fill('');
  await until(async () => !(await ana.page.locator('.typing-line').textContent()), 'the indicator is gone');
});

test('Shift and Enter make a line, Enter sends, the limit is counted in characters', async () => {
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

test('they make a group with a third', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: 'New conversation', exact: true }).click();
  await page.getByRole('checkbox', { name: 'Make a group' }).check();
  for (const { name } of [BEN, CAM]) {
    await page.getByRole('searchbox', { name: 'Find people' }).fill(name);
    await page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
  }
  await page.getByRole('textbox', { name: 'Group name' }).fill(GROUP);
  await shot(page, 'new-group-light');
  await page.getByRole('button', { name: 'Create group', exact: true }).click();
  await page.getByRole('heading', { name: GROUP, exact: true }).waitFor();
  await log(page).getByText(`You created “${GROUP}”`).waitFor();
  await page.locator('.room-subtitle').getByText('3 members').waitFor();
  await say(page, 'Who waters the tomatoes on Saturday?');
  let conversation;
  await until(async () => {
    conversation = await conversationOf(cam.token, GROUP);
    return conversation.last_message.content.startsWith('Who waters');
  }, 'the question is stored, which the answer must not overtake');
  await server.call('POST', `/conversations/${conversation.id}/messages`, {
    token: cam.token,
    body: { content: 'I can.', temp_id: 'cam-1' },
  });
  await log(page).getByText('I can.').waitFor();
  await log(page).getByText(CAM.name).first().waitFor();
});

test('what came while one was elsewhere is counted, shown with a line, and read when opened', async () => {
  await until(async () => (await ben.page.title()) === '(2) Greenroom', 'the title counts 2');
  await inList(ben.page, GROUP).getByText('2 unread messages').waitFor({ state: 'attached' });
  await shot(ben.page, 'unread-light');
  await inList(ben.page, GROUP).click();
  await log(ben.page).getByText('New messages').waitFor();
  await until(async () => (await ben.page.title()) === 'Greenroom', 'the title counts nothing');
  await say(ben.page, 'And I bring the good can.');
  await shows(ana.page, ['Who waters the tomatoes on Saturday?', 'I can.', 'And I bring the good can.']);
});

test('a quoted message is shown above the answer', async () => {
  const message = log(ana.page).locator('.message').filter({ hasText: 'I can.' });
  await message.hover();
  await message.getByRole('button', { name: 'Reply' }).click();
  await ana.page.getByText(`Replying to ${CAM.name}`).waitFor();
  await say(ana.page, 'Thank you!');
  await log(ben.page).locator('.quote').getByText('I can.').waitFor();
});

test('the group shows its members; one is removed and comes back', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: 'Group details' }).click();
  await page.getByRole('list', { name: 'Members' }).getByText(CAM.name).waitFor();
  await shot(page, 'members-light');
  await page.getByRole('button', { name: `Manage ${CAM.name}` }).click();
  await page.getByRole('menuitem', { name: 'Remove from the group' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await until(
    async () => (await page.getByRole('list', { name: 'Members' }).getByRole('listitem').count()) === 2,
    'two members are left',
  );
  await log(ben.page).getByText(`${ANA.name} removed ${CAM.name}`).waitFor();
  await page.getByRole('button', { name: 'Add people' }).click();
  await page.getByRole('searchbox', { name: 'Find people' }).fill('cam');
  await page.getByRole('dialog').getByRole('button', { name: CAM.name, exact: true }).click();
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await log(ben.page).getByText(`${ANA.name} added ${CAM.name}`).waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await page.locator('.room-subtitle').getByText('3 members').waitFor();
});

test('the server is killed while both write: everything arrives once and in order', async () => {
  const count = 12;
  const marks = { kill: gate(), restart: gate() };
  const write = async ({ page }, who, opened, at) => {
    for (let number = 1; number <= count; number += 1) {
      await say(page, `${who} ${number}`);
      if (number === at) opened.open();
    }
  };
  const earlier = await texts(ana.page);
  const power = async () => {
    await marks.kill.opened;
    await server.killNine();
    await marks.restart.opened;
    await ana.page.getByText(/No connection|offline/).waitFor();
    await shot(ana.page, 'no-connection-light');
    await server.start();
  };
  await Promise.all([write(ana, 'A', marks.kill, 4), write(ben, 'B', marks.restart, 9), power()]);
  for (const { page } of [ana, ben])
    await until(
      async () => (await texts(page)).length === earlier.length + 2 * count,
      `${2 * count} more messages are there`,
      () => '',
    );
  await until(async () => (await log(ana.page).locator('.pending').count()) === 0, 'nothing is pending');
  const both = [await texts(ana.page), await texts(ben.page)];
  assert.deepEqual(both[0], both[1]);
  assert.deepEqual(both[0].slice(0, earlier.length), earlier);
  for (const who of ['A', 'B']) {
    const mine = both[0].filter((text) => text.startsWith(`${who} `));
    assert.deepEqual(
      mine,
      Array.from({ length: count }, (_, index) => `${who} ${index + 1}`),
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

test('a page that was offline sends and gets what it missed', async () => {
  const before = await texts(ana.page);
  await ben.context.setOffline(true);
  await ben.page.getByText('You are offline').waitFor();
  await say(ben.page, 'written offline, first');
  await say(ben.page, 'written offline, second');
  await log(ben.page).locator('.pending').getByText('written offline, second').waitFor();
  await say(ana.page, 'said meanwhile');
  await log(ana.page).getByText('said meanwhile').waitFor();
  await shot(ben.page, 'offline-light');
  await ben.context.setOffline(false);
  const expected = [...before, 'said meanwhile', 'written offline, first', 'written offline, second'];
  await shows(ben.page, expected);
  await shows(ana.page, expected);
});

test('a reload keeps what was not sent, and sends it once', async () => {
  const before = await texts(ana.page);
  await server.killNine();
  await ben.page.getByText(/No connection/).waitFor();
  await say(ben.page, 'typed before the reload');
  await log(ben.page).locator('.pending').getByText('typed before the reload').waitFor();
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).fill('a draft');
  const address = ben.page.url();
  await ben.page.reload().catch(() => {});
  await server.start();
  await until(
    () =>
      ben.page.goto(address).then(
        () => true,
        () => false,
      ),
    'the page loads again',
  );
  await shows(ben.page, [...before, 'typed before the reload']);
  await shows(ana.page, [...before, 'typed before the reload']);
  assert.equal(await ben.page.getByRole('textbox', { name: 'Message', exact: true }).inputValue(), 'a draft');
  await ben.page.reload();
  await shows(ben.page, [...before, 'typed before the reload']);
  await ben.page.getByRole('textbox', { name: 'Message', exact: true }).fill('');
});

test('a second tab of the same person shows the same, and signing out ends both', async () => {
  const tab = await ben.context.newPage();
  await tab.goto(ben.page.url());
  await say(tab, 'from the second tab');
  // For a moment the first tab may show neither the message on its way, which the second sent, nor the one that came.
  const same = async () => {
    const [one, other] = [await texts(ben.page), await texts(tab)];
    return one.at(-1) === 'from the second tab' && one.join('\n') === other.join('\n');
  };
  await until(same, 'both tabs show the same');
  await tab.getByRole('button', { name: `Settings for ${BEN.name}` }).click();
  await tab.getByRole('list', { name: 'Signed-in devices' }).getByText('This device').waitFor();
  await shot(tab, 'settings-light');
  await tab.getByRole('button', { name: 'Sign out', exact: true }).click();
  for (const page of [tab, ben.page]) await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  await tab.close();
  await signIn(ben.page, BEN);
  await inList(ben.page, GROUP).click();
});

test('a message that the server refuses says so, and can be given up', async () => {
  await say(ben.page, 'a\u0000b');
  await log(ben.page).getByText('Not delivered').waitFor();
  await log(ben.page).getByRole('button', { name: 'Try again' }).click();
  await log(ben.page).getByText('Not delivered').waitFor();
  await say(ben.page, 'the next one is not held up');
  await log(ana.page).getByText('the next one is not held up').waitFor();
  await log(ben.page).getByRole('button', { name: 'Discard' }).click();
  await shows(ben.page, await texts(ana.page));
});

test('a new name and a new password', async () => {
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
  await say(page, 'still here');
  await log(ana.page).getByText('still here').waitFor();
});

test('everything can be reached without a mouse', async () => {
  const { page } = ben;
  await inList(page, GROUP).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: ANA.name, exact: true }).waitFor();
  await page.keyboard.type('written blind');
  await page.keyboard.press('Enter');
  await log(page).getByText('written blind').waitFor();
  await page.keyboard.press('Escape');
  await until(
    () => inList(page, ANA.name).evaluate((element) => element === document.activeElement),
    'Escape leads back to the list',
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

test('who leaves a group is out of it, and the others are told', async () => {
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
  await log(page).getByText(`${BEN.name} left`).waitFor();
  for (const one of [ana, ben]) await inList(one.page, GROUP).click();
});

test('who closes the last page is seen to leave', async () => {
  await inList(ana.page, BEN.name).getByText('Online').waitFor({ state: 'attached' });
  await ben.context.close();
  await inList(ana.page, BEN.name).getByText('Offline').waitFor({ state: 'attached' });
});

test('no page complained about anything', () => {
  assert.deepEqual(ana.problems, []);
  assert.deepEqual(ben.problems, []);
});

async function conversationOf(token, name) {
  const { items } = await server.call('GET', '/conversations', { token });
  return items.find((conversation) => conversation.name === name);
}

/** Something that happens once, to wait for. */
function gate() {
  let open;
  const opened = new Promise((done) => (open = done));
  return { open, opened };
}
