// What the app looks like: a long history, a phone, two themes. Its pictures are for human eyes; no test reads them.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  PHONE,
  SHOTS,
  Server,
  choose,
  inList,
  launch,
  log,
  messageMenu,
  openPage,
  register,
  say,
  signIn,
  until,
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
  await mkdir(SHOTS, { recursive: true });
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

/** A group with a history longer than a page, and a direct conversation. */
async function seed() {
  const people = {};
  for (const one of [ANA, BEN, CAM]) people[one.username] = await register(server, one);
  const post = (who, path, body) => server.call('POST', path, { token: people[who].token, body });
  const ids = [people.ben.id, people.cam.id];
  group = await post('ana', '/conversations', { type: 'group', name: GROUP, participant_ids: ids });
  const direct = await post('ben', '/conversations', { type: 'direct', participant_ids: [people.ana.id] });
  let number = 0;
  const write = (who, content, more) => {
    number += 1;
    return post(who, `/conversations/${group.id}/messages`, { content, temp_id: `seed-${number}`, ...more });
  };
  for (let packet = 1; packet <= 80; packet += 1) await write('cam', `Seed packet ${packet} is in the box.`);
  await write('ana', 'Good morning! Who waters the tomatoes on Saturday?');
  const answer = await write('cam', 'I can. I will be there from nine anyway.');
  await write('cam', 'Somebody please leave the key with Rosa.');
  const plan = 'The plan for the new beds is here: https://example.org/beds/2026/spring';
  await write('ben', `I will drop it off tonight. ${plan} — two of them could move closer to the wall.`);
  await write('ana', 'Perfect, thank you both.', { reply_to_id: answer.id });
  const newest = await write('ben', NEWEST);
  const react = (who, { id }, emoji) =>
    server.call('PUT', `/conversations/${group.id}/messages/${id}/reactions/${encodeURIComponent(emoji)}`, {
      token: people[who].token,
    });
  for (const who of ['ana', 'ben']) await react(who, answer, '🙏');
  for (const who of ['ana', 'cam']) await react(who, newest, '❤️');
  await react('cam', newest, '🌱');
  await server.call('PUT', `/conversations/${group.id}/messages/${answer.id}/pin`, { token: people.ana.token });
  const hello = { content: 'Did the seedlings survive the frost?', temp_id: 'seed-direct' };
  await post('ben', `/conversations/${direct.id}/messages`, hello);
}

const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`) });

test('a long history is loaded on the way up, without losing one’s place', async () => {
  const { page } = ana;
  await inList(page, GROUP).click();
  await log(page).getByText(NEWEST).waitFor();
  await shot(page, 'group-light');
  const first = log(page).locator('[data-seq="1"]');
  await until(async () => {
    await log(page).evaluate((element) => element.scrollBy(0, -600));
    return (await first.count()) === 1;
  }, 'the first message is there');
  const seqs = await log(page)
    .locator('[data-seq]')
    .evaluateAll((elements) => elements.map((element) => Number(element.dataset.seq)));
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
  );
  assert.equal(seqs.length, 87);
  await page.getByRole('button', { name: /Jump to newest/ }).click();
  const atEnd = (element) => element.scrollHeight - element.clientHeight - element.scrollTop < 60;
  await until(() => log(page).evaluate(atEnd), 'the newest is on the screen');
});

test('what is being read stays where it is while older messages come in above', async () => {
  const { page } = ana;
  await page.reload();
  await log(page).getByText(NEWEST).waitFor();
  const mark = log(page).locator('.message').filter({ hasText: 'Seed packet 42 ' });
  const before = await mark.evaluate((element) => {
    element.scrollIntoView({ block: 'center' });
    return element.getBoundingClientRect().top;
  });
  await until(async () => (await log(page).locator('[data-seq="2"]').count()) === 1, 'older messages are there');
  const now = await mark.evaluate((element) => element.getBoundingClientRect().top);
  assert.ok(Math.abs(now - before) <= 2, `it moved from ${before} to ${now}`);
});

test('on a phone, list and room take turns', async () => {
  const options = { viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'dark' };
  const { context, page, problems } = await openPage(browser, server, options);
  await shot(page, 'phone-sign-in-dark');
  await signIn(page, BEN);
  await inList(page, ANA.name).waitFor();
  await shot(page, 'phone-list-dark');
  await inList(page, ANA.name).click();
  await log(page).getByText('Did the seedlings survive the frost?').waitFor();
  assert.equal(await page.getByRole('list', { name: 'Conversations', exact: true }).isVisible(), false);
  await say(page, 'From my pocket');
  await log(page).getByText('From my pocket').waitFor();
  await page.getByRole('link', { name: 'Back to all conversations' }).click();
  await inList(page, GROUP).click();
  await log(page).getByText(NEWEST).waitFor();
  const fits = () => document.documentElement.scrollWidth <= window.innerWidth;
  assert.ok(await page.evaluate(fits), 'nothing is wider than the screen');
  await shot(page, 'phone-room-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await shot(page, 'phone-room-light');
  await page.getByRole('link', { name: 'Back to all conversations' }).click();
  await inList(page, ANA.name).waitFor();
  await shot(page, 'phone-list-light');
  await context.close();
  assert.deepEqual(problems, []);
});

test('the dark theme is a choice that stays', async () => {
  const { page } = ana;
  await page.getByRole('button', { name: `Settings for ${ANA.name}` }).click();
  await page.getByRole('radio', { name: 'Dark' }).check();
  await shot(page, 'settings-dark');
  await page.getByRole('button', { name: 'Close' }).click();
  await page.reload();
  await log(page).getByText(NEWEST).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await shot(page, 'group-dark');
  await inList(page, BEN.name).click();
  await log(page).getByText('From my pocket').waitFor();
  await shot(page, 'direct-dark');
});

test('menus, the picker and the details fit in, by day and by night', async () => {
  const { page } = ana;
  await inList(page, GROUP).click();
  await log(page).getByText(NEWEST).waitFor();
  for (const theme of ['dark', 'light']) {
    await page.evaluate((value) => (document.documentElement.dataset.theme = value), theme);
    await messageMenu(page, log(page).locator('.message').filter({ hasText: 'Perfect' }));
    await shot(page, `menu-${theme}`);
    await page.keyboard.press('Escape');
    await choose(page, log(page).locator('.message').filter({ hasText: 'Perfect' }), 'React');
    await shot(page, `picker-${theme}`);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Group details' }).click();
    await page.getByText('I can. I will be there').last().waitFor();
    await page.getByText('Statistics').click();
    await page.getByRole('list', { name: 'Messages by member' }).waitFor();
    await page.getByText('Leave group').scrollIntoViewIfNeeded();
    await shot(page, `details-end-${theme}`);
    await page.getByRole('button', { name: 'Close', exact: true }).click();
  }
});

test('on a phone, the menu, the picker and the details are where a thumb is', async () => {
  const options = { viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'light' };
  const { context, page, problems } = await openPage(browser, server, options);
  await signIn(page, ANA);
  await inList(page, GROUP).click();
  await log(page).getByText(NEWEST).waitFor();
  await shot(page, 'phone-reactions-light');
  await choose(page, log(page).locator('.message').filter({ hasText: 'Perfect' }), 'React');
  await shot(page, 'phone-picker-light');
  await page.setViewportSize({ width: 320, height: 568 });
  const cut = (buttons) => buttons.filter((button) => button.getBoundingClientRect().right > innerWidth).length;
  assert.equal(await page.locator('.picker-popup .emoji-button').evaluateAll(cut), 0, 'no emoji is cut off');
  await page.setViewportSize(PHONE);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Group details' }).click();
  await page.getByText('I can. I will be there').last().waitFor();
  await shot(page, 'phone-details-light');
  await page.getByText('Leave group').scrollIntoViewIfNeeded();
  await shot(page, 'phone-details-end-light');
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await page.getByRole('textbox', { name: 'Message', exact: true }).pressSequentially('@');
  await page.getByRole('listbox').waitFor();
  await shot(page, 'phone-mention-light');
  const fits = () => document.documentElement.scrollWidth <= window.innerWidth;
  assert.ok(await page.evaluate(fits), 'nothing is wider than the screen');
  await context.close();
  assert.deepEqual(problems, []);
});

test('no page complained about anything', () => {
  assert.deepEqual(ana.problems, []);
});
