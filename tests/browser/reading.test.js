// Where a conversation opens, what becomes read, and that the reader's place stays. Ana reads what Cam writes.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import {
  Server,
  inList,
  launch,
  messageList,
  openPage,
  register,
  send,
  signIn,
  waitUntil,
  writeMany,
} from './support.js';

const ANA = { username: 'ana', name: 'Ana Lindqvist' };
const CAM = { username: 'cam', name: 'Cam Duarte' };
/** A bounded list has at most this many messages, and one page that was just added. */
const MAX_ROWS = 260;

let server;
let browser;
let accounts;
let problems = [];
let contexts = [];
let groups = 0;

before(async () => {
  server = await Server.create();
  await server.start();
  browser = await launch();
  accounts = { ana: await register(server, ANA), cam: await register(server, CAM) };
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

afterEach(async () => {
  for (const context of contexts) await context.close();
  contexts = [];
  assert.deepEqual(problems, []);
});

/** Creates a group with `read` messages that Ana has read and `unread` that she has not. */
async function group({ read, unread = 0, textOf }) {
  groups += 1;
  const name = `Group ${groups}`;
  const body = { type: 'group', name, participant_ids: [accounts.ana.id] };
  const { id } = await server.call('POST', '/conversations', { token: accounts.cam.token, body });
  await writeMany(server, accounts.cam, id, { count: read, textOf });
  await server.call('POST', `/conversations/${id}/read`, { token: accounts.ana.token, body: {} });
  const markBefore = await readMark(id);
  await write(id, unread, (number) => `New ${number}`);
  return { id, name, markBefore };
}

const write = (id, count, textOf) => writeMany(server, accounts.cam, id, { count, textOf });

/** Returns Ana's read mark as the server knows it. */
async function readMark(id) {
  return (await conversation(id)).my.last_read_seq;
}

const conversation = (id) => server.call('GET', `/conversations/${id}`, { token: accounts.ana.token });

async function openAs(user, options) {
  const { context, page, problems: found } = await openPage(browser, server, options);
  contexts.push(context);
  problems = found;
  await signIn(page, user);
  return page;
}

/** Returns the `seq` of the first and the last message of which more than half is on the screen. */
const onScreen = (page) =>
  messageList(page).evaluate((box) => {
    const { top, bottom } = box.getBoundingClientRect();
    const seqs = [...box.querySelectorAll('[data-seq]')]
      .filter((row) => {
        const edges = row.getBoundingClientRect();
        const shown = Math.min(edges.bottom, bottom) - Math.max(edges.top, top);
        return shown >= edges.height / 2;
      })
      .map((row) => Number(row.dataset.seq));
    return { first: seqs[0], last: seqs.at(-1) };
  });

const scrollBy = (page, y) => messageList(page).evaluate((box, by) => box.scrollBy(0, by), y);
const line = (page) => messageList(page).getByText('New messages', { exact: true });
const isOnScreen = (locator) =>
  locator.evaluate((element) => {
    const edges = element.getBoundingClientRect();
    const box = element.closest('.log').getBoundingClientRect();
    return edges.top >= box.top && edges.bottom <= box.bottom;
  });
const rowCount = (page) => messageList(page).locator('[data-seq]').count();
const text = (page, content) => messageList(page).getByText(content, { exact: true });
/** Two frames: what a change causes was drawn. */
const frames = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

test('a conversation opens at the first unread message, and only what was on the screen becomes read', async () => {
  const { id, name, markBefore } = await group({ read: 60, unread: 301 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await text(page, 'New 1').waitFor();
  assert.ok(await isOnScreen(line(page)), 'the line above the first unread message is on the screen');
  assert.ok(await isOnScreen(text(page, 'New 1')));
  const { last } = await onScreen(page);
  assert.ok(last < markBefore + 60, 'the end is far away');
  await waitUntil(async () => (await readMark(id)) === last, 'what is on the screen is read, and nothing else');
  assert.equal((await conversation(id)).unread_count, markBefore + 301 - last);
  await page.getByRole('button', { name: `Jump to latest, ${markBefore + 301 - last} unread messages` }).waitFor();

  await scrollBy(page, 400);
  await waitUntil(async () => (await readMark(id)) > last, 'scrolling reads on');
  await waitUntil(async () => (await readMark(id)) === (await onScreen(page)).last, 'up to the end of the screen');

  const before = await readMark(id);
  await scrollBy(page, 3_000);
  await waitUntil(async () => (await onScreen(page)).first > before + 5, 'the screen shows something else');
  await frames(page);
  await page.reload();
  await inList(page, name).waitFor();
  assert.equal(await readMark(id), before, 'after a gap nothing is read');
  await line(page).waitFor();
});

test('jumping to the latest message reads all, and the line stays until the conversation is left', async () => {
  const { id, name, markBefore } = await group({ read: 60, unread: 301 });
  const other = await group({ read: 1 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await line(page).waitFor();
  await page.getByRole('button', { name: /^Jump to latest/ }).click();
  await text(page, 'New 301').waitFor();
  await waitUntil(async () => (await readMark(id)) === markBefore + 301, 'all is read');
  await waitUntil(async () => {
    await scrollBy(page, -1_500);
    return (await line(page).count()) === 1;
  }, 'the line is still above the first message that was new');
  await inList(page, other.name).click();
  await text(page, 'Line 1').waitFor();
  await inList(page, name).click();
  await messageList(page).locator('.message').first().waitFor();
  assert.equal(await line(page).count(), 0);
});

test('Escape reads all, and sending reads all', async () => {
  const { id, name, markBefore } = await group({ read: 5, unread: 120 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await line(page).waitFor();
  await page.keyboard.press('Escape');
  await text(page, 'New 120').waitFor();
  await waitUntil(async () => (await readMark(id)) === markBefore + 120, 'Escape reads all');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Message');

  const second = await group({ read: 5, unread: 120 });
  await inList(page, second.name).click();
  await text(page, 'New 1').waitFor();
  await send(page, 'I have read it.');
  await text(page, 'I have read it.').waitFor();
  await waitUntil(async () => (await conversation(second.id)).unread_count === 0, 'sending reads all');
});

test('while nobody looks at the page, nothing is read and the first new message stays on the screen', async () => {
  const { id, name, markBefore } = await group({ read: 40 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await text(page, 'Line 40').waitFor();
  await page.evaluate(() => {
    document.hasFocus = () => false;
    window.dispatchEvent(new Event('blur'));
  });
  await write(id, 80, (number) => `New ${number}`);
  await text(page, 'New 80').waitFor({ state: 'attached' });
  await frames(page);
  assert.ok(await isOnScreen(text(page, 'New 1')), 'reading continues there');
  assert.equal(await readMark(id), markBefore);
  await page.evaluate(() => {
    delete document.hasFocus;
    window.dispatchEvent(new Event('focus'));
  });
  await waitUntil(async () => (await readMark(id)) === (await onScreen(page)).last, 'what is on the screen is read');
});

test('messages that arrive together after a break of the connection do not push each other out unread', async () => {
  const { id, name, markBefore } = await group({ read: 40 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await text(page, 'Line 40').waitFor();
  await page.context().setOffline(true);
  await page.getByText('You are offline').waitFor();
  await write(id, 80, (number) => `New ${number}`);
  await page.context().setOffline(false);
  await text(page, 'New 80').waitFor({ state: 'attached' });
  await frames(page);
  assert.ok(await isOnScreen(text(page, 'New 1')));
  await waitUntil(async () => (await readMark(id)) === (await onScreen(page)).last, 'what is on the screen is read');
  assert.ok((await readMark(id)) < markBefore + 80);
});

test('the reading place is kept while the user looks into another conversation', async () => {
  const { name } = await group({ read: 150 });
  const other = await group({ read: 1 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await text(page, 'Line 150').waitFor();
  await waitUntil(async () => {
    await scrollBy(page, -500);
    return (await onScreen(page)).first < 60;
  }, 'the user reads above');
  await frames(page);
  const place = await onScreen(page);
  await inList(page, other.name).click();
  await text(page, 'Line 1').waitFor();
  await inList(page, name).click();
  await text(page, `Line ${place.last - 3}`).waitFor();
  await frames(page);
  assert.deepEqual(await onScreen(page), place);
});

test('a burst of messages in the open room leaves a bounded list that stays at its end', async () => {
  const { id, name } = await group({ read: 30 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await text(page, 'Line 30').waitFor();
  const counted = page.evaluate(() => {
    const box = document.querySelector('.log');
    return new Promise((done) => {
      let most = 0;
      new MutationObserver((_, observer) => {
        most = Math.max(most, box.querySelectorAll('[data-seq]').length);
        if (!box.textContent.includes('Burst 600')) return;
        observer.disconnect();
        done(most);
      }).observe(box, { childList: true, subtree: true });
    });
  });
  await write(id, 600, (number) => `Burst ${number}`);
  assert.ok((await counted) <= MAX_ROWS, `${await counted} rows`);
  await frames(page);
  assert.ok(await isOnScreen(text(page, 'Burst 600')));
  await waitUntil(async () => (await conversation(id)).unread_count === 0, 'what the user watched is read');
});

test('while the user reads above, a burst below neither moves the text nor removes it', async () => {
  const { id, name } = await group({ read: 150 });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await text(page, 'Line 150').waitFor();
  await waitUntil(async () => {
    await scrollBy(page, -500);
    return (await onScreen(page)).first < 80;
  }, 'the user reads above');
  await frames(page);
  const mark = text(page, `Line ${(await onScreen(page)).first + 4}`);
  const top = await mark.evaluate((element) => element.getBoundingClientRect().top);
  await write(id, 300, (number) => `Burst ${number}`);
  await page.getByRole('button', { name: 'Jump to latest, 300 unread messages' }).waitFor();
  await frames(page);
  assert.ok(Math.abs((await mark.evaluate((element) => element.getBoundingClientRect().top)) - top) <= 1);
  assert.ok((await rowCount(page)) <= MAX_ROWS);
  await page.getByRole('button', { name: /^Jump to latest/ }).click();
  await text(page, 'Burst 300').waitFor();
});

/** Texts of very different heights, so that no height can be guessed. */
const uneven = (number) => {
  if (number % 11 === 0) return '🌱';
  if (number % 7 === 0) return `${number}\nhas\nfive\nlines\nof text`;
  return `${number} ${'grows '.repeat((number * 13) % 60)}`;
};

/** Moves the list by `step` many times and returns the largest difference between that and how the rows moved. */
const largestJump = (page, { step, count }) =>
  messageList(page).evaluate(
    async (box, { step, count }) => {
      const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const top = box.getBoundingClientRect().top;
      let [largest, moves] = [0, 0];
      for (let index = 0; index < count; index += 1) {
        const row = [...box.querySelectorAll('[data-seq]')].find((each) => {
          const edges = each.getBoundingClientRect();
          return edges.bottom > top + box.clientHeight / 3;
        });
        const start = row.getBoundingClientRect().top;
        const [before, end] = [box.scrollTop, box.scrollHeight - box.clientHeight];
        const expected = Math.min(Math.max(before + step, 0), end) - before;
        box.scrollTop += step;
        // In the frames after the step pages arrive, rows above are drawn for the first time, and rows are dropped.
        for (let wait = 0; wait < 3; wait += 1) {
          await frame();
          largest = Math.max(largest, Math.abs(row.getBoundingClientRect().top - (start - expected)));
        }
        if (Math.abs(expected) > 1) moves += 1;
      }
      return { largest, moves };
    },
    { step, count },
  );

test('while the user scrolls through a long history and back, the place never jumps', async () => {
  const { name } = await group({ read: 700, textOf: uneven });
  const page = await openAs(ANA);
  await inList(page, name).click();
  await messageList(page).locator('[data-seq="701"]').waitFor();
  await frames(page);
  for (const step of [-180, 180]) {
    const goal = step < 0 ? 2 : 701;
    let passes = 0;
    while ((await messageList(page).locator(`[data-seq="${goal}"]`).count()) === 0) {
      const { largest } = await largestJump(page, { step, count: 40 });
      assert.ok(largest <= 1, `the place jumped by ${largest} px`);
      assert.ok((await rowCount(page)) <= MAX_ROWS);
      assert.ok((passes += 1) < 60, `message ${goal} is reached`);
    }
  }
});
