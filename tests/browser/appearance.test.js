// The appearance of the app: a long history, a phone, two themes. The screenshots are for people; no test reads them.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  PHONE,
  SCREENSHOTS,
  Server,
  chooseFromMenu,
  inList,
  launch,
  messageList,
  messageMenu,
  openPage,
  register,
  signIn,
  waitUntil,
} from './support.js';

const ANA = { username: 'ana', name: 'Ana Lindqvist' };
const BEN = { username: 'ben', name: 'Ben Okafor' };
const CAM = { username: 'cam', name: 'Cam Duarte' };
const GROUP = 'Garden club';
const NEWEST = 'And the good watering can is in the shed.';

let server;
let browser;
let ana;
let group;

before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  server = await Server.create();
  await server.start();
  browser = await launch();
  await seed();
  ana = await openPage(browser, server);
  await signIn(ana.page, ANA);
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

/** Creates a group with more than one page of messages, and a direct conversation. */
async function seed() {
  const accounts = {};
  for (const user of [ANA, BEN, CAM]) accounts[user.username] = await register(server, user);
  const post = (author, path, body) => server.call('POST', path, { token: accounts[author].token, body });
  const ids = [accounts.ben.id, accounts.cam.id];
  group = await post('ana', '/conversations', { type: 'group', name: GROUP, participant_ids: ids });
  const direct = await post('ben', '/conversations', { type: 'direct', participant_ids: [accounts.ana.id] });
  let number = 0;
  const write = (author, content, more) => {
    number += 1;
    return post(author, `/conversations/${group.id}/messages`, { content, temp_id: `seed-${number}`, ...more });
  };
  for (let packet = 1; packet <= 80; packet += 1) await write('cam', `Seed packet ${packet} is in the box.`);
  await write('ana', 'Good morning! Who waters the tomatoes on Saturday?');
  const answer = await write('cam', 'I can. I will be there from nine anyway.');
  await write('cam', 'Somebody please leave the key with Rosa.');
  const plan = 'The plan for the new beds is here: https://example.org/beds/2026/spring';
  await write('ben', `I will drop it off tonight. ${plan} — two of them could move closer to the wall.`);
  await write('ana', 'Perfect, thank you both.', { reply_to_id: answer.id });
  const newest = await write('ben', NEWEST);
  const react = (author, { id }, emoji) =>
    server.call('PUT', `/conversations/${group.id}/messages/${id}/reactions/${encodeURIComponent(emoji)}`, {
      token: accounts[author].token,
    });
  for (const author of ['ana', 'ben']) await react(author, answer, '🙏');
  for (const author of ['ana', 'cam']) await react(author, newest, '❤️');
  await react('cam', newest, '🌱');
  await server.call('PUT', `/conversations/${group.id}/messages/${answer.id}/pin`, { token: accounts.ana.token });
  const hello = { content: 'Did the seedlings survive the frost?', temp_id: 'seed-direct' };
  await post('ben', `/conversations/${direct.id}/messages`, hello);
}

const screenshot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });

test('a long history is loaded while the user scrolls up, and the position stays', async () => {
  const { page } = ana;
  await inList(page, GROUP).click();
  await messageList(page).getByText(NEWEST).waitFor();
  await screenshot(page, 'group-light');
  const first = messageList(page).locator('[data-seq="1"]');
  await waitUntil(async () => {
    await messageList(page).evaluate((element) => element.scrollBy(0, -600));
    return (await first.count()) === 1;
  }, 'the first message is there');
  const seqs = await messageList(page)
    .locator('[data-seq]')
    .evaluateAll((elements) => elements.map((element) => Number(element.dataset.seq)));
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
  );
  assert.equal(seqs.length, 87);
  await page.getByRole('button', { name: /Jump to latest/ }).click();
  const atEnd = (element) => element.scrollHeight - element.clientHeight - element.scrollTop < 60;
  await waitUntil(() => messageList(page).evaluate(atEnd), 'the newest message is visible');
});

test('the visible messages stay still while older messages are added above', async () => {
  const { page } = ana;
  await page.reload();
  await messageList(page).getByText(NEWEST).waitFor();
  const mark = messageList(page).locator('.message').filter({ hasText: 'Seed packet 42 ' });
  const before = await mark.evaluate((element) => {
    element.scrollIntoView({ block: 'center' });
    return element.getBoundingClientRect().top;
  });
  await waitUntil(
    async () => (await messageList(page).locator('[data-seq="2"]').count()) === 1,
    'older messages are there',
  );
  const now = await mark.evaluate((element) => element.getBoundingClientRect().top);
  assert.ok(Math.abs(now - before) <= 2, `it moved from ${before} to ${now}`);
});

test('on a phone, either the list or the room is shown', async () => {
  const options = { viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'dark' };
  const { context, page, problems } = await openPage(browser, server, options);
  await screenshot(page, 'phone-sign-in-dark');
  await signIn(page, BEN);
  await inList(page, ANA.name).waitFor();
  await screenshot(page, 'phone-list-dark');
  await inList(page, ANA.name).click();
  await messageList(page).getByText('Did the seedlings survive the frost?').waitFor();
  assert.equal(await page.getByRole('list', { name: 'Conversations', exact: true }).isVisible(), false);
  await page.getByRole('textbox', { name: 'Message', exact: true }).fill('From my pocket');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await messageList(page).getByText('From my pocket').waitFor();
  await page.getByRole('link', { name: 'Back to all conversations' }).click();
  await inList(page, GROUP).click();
  await messageList(page).getByText(NEWEST).waitFor();
  const fitsScreen = () => document.documentElement.scrollWidth <= window.innerWidth;
  assert.ok(await page.evaluate(fitsScreen), 'no element is wider than the screen');
  await screenshot(page, 'phone-room-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await screenshot(page, 'phone-room-light');
  await page.getByRole('link', { name: 'Back to all conversations' }).click();
  await inList(page, ANA.name).waitFor();
  await screenshot(page, 'phone-list-light');
  await context.close();
  assert.deepEqual(problems, []);
});

test('the dark theme is stored', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: `Settings for ${ANA.name}` }).click();
  await page.getByRole('radio', { name: 'Dark' }).check();
  await screenshot(page, 'settings-dark');
  await page.getByRole('button', { name: 'Close' }).click();
  await page.reload();
  await messageList(page).getByText(NEWEST).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await screenshot(page, 'group-dark');
  await inList(page, BEN.name).click();
  await messageList(page).getByText('From my pocket').waitFor();
  await screenshot(page, 'direct-dark');
});

test('menus, the picker and the details work in both themes', async () => {
  const { page } = ana;
  await inList(page, GROUP).click();
  await messageList(page).getByText(NEWEST).waitFor();
  for (const theme of ['dark', 'light']) {
    await page.evaluate((value) => (document.documentElement.dataset.theme = value), theme);
    await messageMenu(page, messageList(page).locator('.message').filter({ hasText: 'Perfect' }));
    await screenshot(page, `menu-${theme}`);
    await page.keyboard.press('Escape');
    await chooseFromMenu(page, messageList(page).locator('.message').filter({ hasText: 'Perfect' }), 'React');
    await screenshot(page, `picker-${theme}`);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Group details' }).click();
    await page.getByText('I can. I will be there').last().waitFor();
    await page.getByText('Statistics').click();
    await page.getByRole('list', { name: 'Messages by member' }).waitFor();
    await page.getByText('Leave group').scrollIntoViewIfNeeded();
    await screenshot(page, `details-end-${theme}`);
    await page.getByRole('button', { name: 'Close', exact: true }).click();
  }
});

test('on a phone, the menu, the picker and the details fit on the screen', async () => {
  const options = { viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'light' };
  const { context, page, problems } = await openPage(browser, server, options);
  await signIn(page, ANA);
  await inList(page, GROUP).click();
  await messageList(page).getByText(NEWEST).waitFor();
  await screenshot(page, 'phone-reactions-light');
  await chooseFromMenu(page, messageList(page).locator('.message').filter({ hasText: 'Perfect' }), 'React');
  await screenshot(page, 'phone-picker-light');
  await page.setViewportSize({ width: 320, height: 568 });
  const countCutOff = (buttons) => buttons.filter((button) => button.getBoundingClientRect().right > innerWidth).length;
  assert.equal(await page.locator('.picker-popup .emoji-button').evaluateAll(countCutOff), 0, 'no emoji is cut off');
  await page.setViewportSize(PHONE);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Group details' }).click();
  await page.getByText('I can. I will be there').last().waitFor();
  await screenshot(page, 'phone-details-light');
  await page.getByText('Leave group').scrollIntoViewIfNeeded();
  await screenshot(page, 'phone-details-end-light');
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await page.getByRole('textbox', { name: 'Message', exact: true }).pressSequentially('@');
  await page.getByRole('listbox').waitFor();
  await screenshot(page, 'phone-mention-light');
  const fitsScreen = () => document.documentElement.scrollWidth <= window.innerWidth;
  assert.ok(await page.evaluate(fitsScreen), 'no element is wider than the screen');
  await context.close();
  assert.deepEqual(problems, []);
});

test('no page reported errors', () => {
  assert.deepEqual(ana.problems, []);
});
