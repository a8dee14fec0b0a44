// Where a room opens, what counts as read, and what stays loaded.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { ANA, BEN, screenshot } from './two-users.js';
import { Server, inList, launch, messageList, openPage, register, send, signIn, waitUntil } from './support.js';

/** Rows that the page may have at a time: the most messages, those that exceed it for a while, and the lines. */
const MAX_ROWS = 260;

let server;
let browser;
let ana;
let ben;
let group;
let page;
let problems;
let count = 0;

before(async () => {
  server = await Server.create();
  await server.start();
  browser = await launch();
  ana = await register(server, ANA);
  ben = await register(server, BEN);
  const opened = await openPage(browser, server);
  ({ page, problems } = opened);
  await signIn(page, ANA);
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

/** A new group for each test, in which Ben writes. The page shows another conversation. */
beforeEach(async () => {
  count += 1;
  await page.goto(`${server.url}/#/`);
  group = await server.call('POST', '/conversations', {
    token: ana.token,
    body: { type: 'group', name: `Group ${count}`, participant_ids: [ben.id] },
  });
  await inList(page, group.name).waitFor();
});

/** Sends messages as Ben, one after another: `note 1`, `note 2` and so on. */
async function sendNotes(first, last) {
  for (let number = first; number <= last; number += 1) {
    const body = { content: `note ${number}`, temp_id: `note-${count}-${number}` };
    await server.call('POST', `/conversations/${group.id}/messages`, { token: ben.token, body });
  }
}

const openGroup = () => inList(page, group.name).click();
const note = (number) => messageList(page).getByText(`note ${number}`, { exact: true });
const myState = async () => server.call('GET', `/conversations/${group.id}`, { token: ana.token });
const unreadLine = () => messageList(page).getByText('New messages', { exact: true });

/** Waits until the unread count of the user on the server is as expected. */
async function waitForUnread(expected) {
  let unread = null;
  await waitUntil(
    async () => {
      unread = (await myState()).unread_count;
      return expected(unread);
    },
    'the unread count is as expected',
    () => `it is ${unread}`,
  );
  return unread;
}

/** Returns the numbers of the notes that are on the screen. */
function notesOnScreen() {
  return messageList(page).evaluate((box) => {
    const { top, bottom } = box.getBoundingClientRect();
    return [...box.querySelectorAll('.message-text')]
      .filter((text) => text.getBoundingClientRect().bottom > top && text.getBoundingClientRect().bottom <= bottom + 24)
      .map((text) => Number(text.textContent.replace('note ', '')))
      .filter(Boolean);
  });
}

test('a room with 301 unread messages opens at the first, and only what was on the screen is read', async () => {
  await sendNotes(1, 301);
  await openGroup();
  await note(1).waitFor();
  await unreadLine().waitFor();
  assert.ok(await note(1).isVisible());
  const first = await notesOnScreen();
  assert.equal(first[0], 1, 'the first unread message is on the screen');
  const unread = await waitForUnread((value) => value < 301);
  assert.ok(unread >= 301 - first.at(-1), `${unread} unread, and ${first.at(-1)} were on the screen`);
  // A leap over messages reads none of those between.
  await messageList(page).evaluate((box) => (box.scrollTop += 4 * box.clientHeight));
  await waitUntil(async () => !(await notesOnScreen()).includes(first.at(-1)), 'the list has moved');
  // The way back to the first unread message, and reading on from there.
  await page.getByRole('button', { name: `${unread} unread messages`, exact: true }).click();
  await waitUntil(async () => (await notesOnScreen()).includes(first.at(-1) + 1), 'the first unread message is shown');
  await waitForUnread((value) => value < unread);
  await screenshot(page, 'first-unread');
  await page.getByRole('button', { name: /^Jump to newest/ }).click();
  await waitForUnread((value) => value === 0);
  await note(301).waitFor();
});

test('scrolling steadily through unread messages reads them all, and the line stays', async () => {
  await sendNotes(1, 120);
  await openGroup();
  await unreadLine().waitFor();
  await waitUntil(async () => {
    await messageList(page).evaluate((box) => (box.scrollTop += box.clientHeight / 3));
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
    return (await notesOnScreen()).includes(120);
  }, 'the end is reached');
  await waitForUnread((value) => value === 0);
  assert.equal(await unreadLine().count(), 1, 'the line stays until the room is left');
  await page.goto(`${server.url}/#/`);
  await openGroup();
  await note(120).waitFor();
  assert.equal(await unreadLine().count(), 0);
});

test('Escape and sending read everything', async () => {
  await sendNotes(1, 90);
  await openGroup();
  await unreadLine().waitFor();
  await page.keyboard.press('Escape');
  await waitForUnread((value) => value === 0);
  await note(90).waitFor();
  await page.goto(`${server.url}/#/`);
  await sendNotes(91, 180);
  await openGroup();
  await unreadLine().waitFor();
  await send(page, 'I have read it');
  await waitForUnread((value) => value === 0);
  await messageList(page).getByText('I have read it').waitFor();
});

test('live messages do not add up in the page, at the end and above it', async () => {
  await sendNotes(1, 60);
  await openGroup();
  await unreadLine().waitFor();
  await page.keyboard.press('Escape');
  await note(60).waitFor();
  await waitForUnread((value) => value === 0);
  await sendNotes(61, 420);
  await note(420).waitFor();
  const rows = () => messageList(page).locator('.rows > *').count();
  assert.ok((await rows()) <= MAX_ROWS, `${await rows()} rows`);
  assert.ok((await notesOnScreen()).includes(420), 'the page follows the newest message');
  await waitForUnread((value) => value === 0);
  // Above the end the visible messages do not move, and the messages after it are loaded when they are needed.
  await messageList(page).evaluate((box) => (box.scrollTop -= 3 * box.clientHeight));
  const shown = (await notesOnScreen())[3];
  const top = () => note(shown).evaluate((row) => row.getBoundingClientRect().top);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const before = await top();
  await sendNotes(421, 760);
  await waitUntil(async () => (await myState()).last_seq >= 760, 'all are stored');
  await inList(page, group.name).getByText('note 760').waitFor();
  assert.ok(Math.abs((await top()) - before) <= 1, `they moved from ${before} to ${await top()}`);
  assert.ok((await rows()) <= MAX_ROWS, `${await rows()} rows`);
  await page.getByRole('button', { name: /^Jump to newest/ }).click();
  await note(760).waitFor();
});

test('a room that was not open stays bounded and opens at its first unread message', async () => {
  await sendNotes(1, 5);
  await openGroup();
  await note(5).waitFor();
  await waitForUnread((value) => value === 0);
  await page.goto(`${server.url}/#/`);
  await sendNotes(6, 330);
  await inList(page, group.name).getByText('note 330').waitFor();
  await openGroup();
  await unreadLine().waitFor();
  await note(6).waitFor();
  assert.ok((await notesOnScreen()).includes(6));
  const unread = await waitForUnread((value) => value < 325);
  assert.ok(unread > 250, `${unread} unread`);
});

test('the page reported no errors', () => assert.deepEqual(problems, []));
