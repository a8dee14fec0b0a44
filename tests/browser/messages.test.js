// What users do with messages, with two users in two browsers.
// The tests of this file depend on each other: each continues where the one before it ended.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ANA, BEN, box, close, details, GROUP, setup, row, screenshot } from './two-users.js';
import {
  PHONE,
  chooseFromMenu,
  inList,
  messageList,
  messageMenu,
  openPage,
  send,
  waitForTexts,
  signIn,
  messageTexts,
  waitUntil,
} from './support.js';

let server;
let browser;
let accounts;
let group;
let ana;
let ben;
let closeAll;

before(async () => {
  ({ server, browser, accounts, group, ana, ben, closeAll } = await setup());
});

after(() => closeAll?.());

test('a message is edited by its menu and by the arrow key, and both users see the former text', async () => {
  await send(ana.page, 'The tomatos are ripe.');
  await waitForTexts(ben.page, ['The tomatos are ripe.']);
  await chooseFromMenu(ana.page, row(ana.page, 'tomatos'), 'Edit');
  await ana.page.getByText('Editing your message').waitFor();
  assert.equal(await box(ana.page).inputValue(), 'The tomatos are ripe.');
  await box(ana.page).fill('given up');
  await ana.page.keyboard.press('Escape');
  assert.equal(await box(ana.page).inputValue(), '');
  await box(ana.page).press('ArrowUp');
  assert.equal(await box(ana.page).inputValue(), 'The tomatos are ripe.');
  await box(ana.page).fill('The tomatoes are ripe.');
  await ana.page.getByRole('button', { name: 'Save', exact: true }).click();
  for (const { page } of [ana, ben]) {
    await waitForTexts(page, ['The tomatoes are ripe.']);
    await row(page, 'tomatoes').getByText('edited').waitFor();
    await inList(page, GROUP).getByText('The tomatoes are ripe.').waitFor();
  }
  await chooseFromMenu(ben.page, row(ben.page, 'tomatoes'), 'History');
  const versions = ben.page.getByRole('list', { name: 'Former texts' }).locator('.version-text');
  await versions.nth(1).waitFor();
  assert.deepEqual(await versions.allTextContents(), ['The tomatos are ripe.', 'The tomatoes are ripe.']);
  await close(ben.page);
});

test('keys that are pressed right after a choice in a menu go to the chosen action', async () => {
  const menu = await messageMenu(ana.page, row(ana.page, 'tomatoes'));
  const text = await menu.getByRole('menuitem', { name: 'Edit', exact: true }).evaluate((item) => {
    item.click();
    return document.activeElement.value;
  });
  assert.equal(text, 'The tomatoes are ripe.');
  await ana.page.keyboard.press('Escape');
});

test('reactions are added, counted and removed', async () => {
  await row(ben.page, 'tomatoes').hover();
  await row(ben.page, 'tomatoes').getByRole('button', { name: 'React', exact: true }).click();
  await ben.page.getByRole('button', { name: 'party', exact: true }).click();
  const party = (page, count) =>
    row(page, 'tomatoes').getByRole('button', {
      name: `party, ${count} reaction${count === 1 ? '' : 's'}`,
      exact: true,
    });
  await party(ana.page, 1).waitFor();
  assert.equal(await party(ana.page, 1).getAttribute('aria-pressed'), 'false');
  assert.equal(await party(ben.page, 1).getAttribute('aria-pressed'), 'true');
  await party(ana.page, 1).hover();
  await row(ana.page, 'tomatoes').locator('.tip').getByText(BEN.name).waitFor();
  await party(ana.page, 1).click();
  for (const { page } of [ana, ben]) await party(page, 2).waitFor();
  await chooseFromMenu(ana.page, row(ana.page, 'tomatoes'), 'React');
  await ana.page.getByRole('textbox', { name: 'Any emoji' }).fill('two 🦀🦀');
  await ana.page.keyboard.press('Enter');
  await ana.page.getByText('Type one emoji.').waitFor();
  await ana.page.getByRole('textbox', { name: 'Any emoji' }).fill('🦀');
  await ana.page.keyboard.press('Enter');
  await row(ben.page, 'tomatoes').getByRole('button', { name: '🦀, 1 reaction' }).waitFor();
  await screenshot(ben.page, 'reactions-light');
  await party(ben.page, 2).click();
  for (const { page } of [ana, ben]) await party(page, 1).waitFor();
  await chooseFromMenu(ben.page, row(ben.page, 'tomatoes'), 'Reactions');
  await ben.page.getByRole('list', { name: '🎉 1' }).getByText(ANA.name).waitFor();
  await close(ben.page);
});

test('a reply shows the quoted message, also after edits, and a click on the quote shows the message', async () => {
  await chooseFromMenu(ben.page, row(ben.page, 'tomatoes'), 'Reply');
  await send(ben.page, 'I will pick some.');
  await messageList(ana.page).locator('.quote').getByText('The tomatoes are ripe.').waitFor();
  await chooseFromMenu(ana.page, row(ana.page, 'tomatoes').first(), 'Edit');
  await box(ana.page).fill('The red tomatoes are ripe.');
  await box(ana.page).press('Enter');
  await messageList(ben.page).locator('.quote').getByText('The red tomatoes are ripe.').waitFor();
  await messageList(ben.page).locator('.quote').click();
  await ben.page.locator('.message.pointed').getByText('The red tomatoes are ripe.').waitFor();
});

test('mentions are offered while the user types, shown to both, and marked in the list', async () => {
  await ben.page.getByRole('link').filter({ hasText: ANA.name }).first().click();
  await box(ana.page).fill('');
  await box(ana.page).pressSequentially('Thank you @b');
  const offered = ana.page.getByRole('listbox', { name: 'People to mention' });
  await offered.getByRole('option', { name: /Ben Okafor/ }).waitFor();
  await screenshot(ana.page, 'mention-light');
  await ana.page.keyboard.press('Enter');
  assert.equal(await box(ana.page).inputValue(), 'Thank you @ben ');
  await box(ana.page).pressSequentially('and @all');
  await offered.getByRole('option', { name: /Everybody here/ }).waitFor();
  await ana.page.keyboard.press('Escape');
  await offered.waitFor({ state: 'hidden' });
  await box(ana.page).fill('Thank you @ben.');
  await box(ana.page).press('Enter');
  await messageList(ana.page).locator('.mention').getByText('@ben', { exact: true }).waitFor();
  await inList(ben.page, GROUP).getByText('You are mentioned').waitFor({ state: 'attached' });
  await screenshot(ben.page, 'mentioned-light');
  await ben.page.reload();
  await inList(ben.page, GROUP).getByText('You are mentioned').waitFor({ state: 'attached' });
  await inList(ben.page, GROUP).click();
  await messageList(ben.page).locator('.own-mention').getByText('@ben', { exact: true }).waitFor();
  await inList(ben.page, GROUP).locator('.mention-badge').waitFor({ state: 'hidden' });
});

test('a message is pinned, found in the list of pins, and unpinned', async () => {
  const menu = await messageMenu(ben.page, row(ben.page, 'The red tomatoes').first());
  assert.equal(await menu.getByRole('menuitem', { name: 'Pin', exact: true }).count(), 0);
  await ben.page.keyboard.press('Escape');
  await chooseFromMenu(ana.page, row(ana.page, 'The red tomatoes').first(), 'Pin');
  await row(ben.page, 'The red tomatoes').first().getByText('Pinned').waitFor({ state: 'attached' });
  const dialog = await details(ben.page);
  await dialog.getByRole('list', { name: 'Pinned messages' }).getByText('The red tomatoes are ripe.').click();
  await ben.page.locator('.message.pointed').getByText('The red tomatoes are ripe.').waitFor();
  const own = await details(ana.page);
  await own.getByRole('button', { name: 'Unpin this message' }).click();
  await row(ben.page, 'The red tomatoes').first().getByText('Pinned').waitFor({ state: 'detached' });
  await own.getByText('None yet.').waitFor();
  await close(ana.page);
});

test('the author of a message sees its receipts', async () => {
  await waitUntil(async () => (await messageList(ana.page).locator('.status-seen').count()) > 0, 'a user has read it');
  await chooseFromMenu(ana.page, row(ana.page, 'Thank you'), 'Receipts');
  await ana.page
    .getByRole('list', { name: /^Read by/ })
    .getByText(BEN.name)
    .waitFor();
  await close(ana.page);
});

test('one message is deleted for one user, another for everyone', async () => {
  const before = await messageTexts(ana.page);
  await chooseFromMenu(ben.page, row(ben.page, 'Thank you'), 'Delete');
  assert.equal(await ben.page.getByRole('button', { name: 'Delete for everyone' }).count(), 0);
  await ben.page.getByRole('button', { name: 'Delete for me' }).click();
  await row(ben.page, 'Thank you').waitFor({ state: 'detached' });
  assert.deepEqual(await messageTexts(ana.page), before);
  await chooseFromMenu(ana.page, row(ana.page, 'The red tomatoes').first(), 'Delete');
  await ana.page.getByRole('button', { name: 'Delete for everyone' }).click();
  for (const { page } of [ana, ben]) {
    await waitUntil(async () => (await messageTexts(page))[0] === 'Message deleted', 'the text is gone');
    await messageList(page).locator('.quote').getByText('Message deleted').waitFor();
    assert.equal(await messageList(page).locator('.reaction').count(), 0);
  }
  await screenshot(ana.page, 'deleted-light');
  const menu = await messageMenu(ana.page, messageList(ana.page).locator('.message.deleted'));
  assert.deepEqual(await menu.getByRole('menuitem').allTextContents(), ['Delete']);
  await ana.page.keyboard.press('Escape');
  await ben.page.reload();
  await waitUntil(
    async () => (await messageTexts(ben.page)).join() === 'Message deleted,I will pick some.',
    'the reload changes nothing',
  );
});

test('a user who was offline sees all changes afterwards', async () => {
  await send(ana.page, 'stays as it is');
  await send(ana.page, 'will be edited');
  await send(ana.page, 'will be deleted');
  await row(ben.page, 'will be deleted').waitFor();
  await ben.context.setOffline(true);
  await ben.page.getByText('You are offline').waitFor();
  await chooseFromMenu(ana.page, row(ana.page, 'will be edited'), 'Edit');
  await box(ana.page).fill('was edited');
  await box(ana.page).press('Enter');
  await chooseFromMenu(ana.page, row(ana.page, 'stays as it is'), 'Pin');
  await row(ana.page, 'stays as it is').hover();
  await row(ana.page, 'stays as it is').getByRole('button', { name: 'React', exact: true }).click();
  await ana.page.getByRole('group', { name: 'Common' }).getByRole('button', { name: 'fire', exact: true }).click();
  await chooseFromMenu(ana.page, row(ana.page, 'will be deleted'), 'Delete');
  await ana.page.getByRole('button', { name: 'Delete for everyone' }).click();
  await row(ana.page, 'will be deleted').waitFor({ state: 'detached' });
  await row(ben.page, 'will be edited').hover();
  await row(ben.page, 'will be edited').getByRole('button', { name: 'React', exact: true }).click();
  await ben.page.getByRole('group', { name: 'Common' }).getByRole('button', { name: 'eyes', exact: true }).click();
  await ben.page.getByText('There is no connection right now.').waitFor();
  assert.equal(await row(ben.page, 'will be edited').locator('.reaction').count(), 0);
  await ben.context.setOffline(false);
  await row(ben.page, 'was edited').waitFor();
  await row(ben.page, 'stays as it is').getByText('Pinned').waitFor({ state: 'attached' });
  await row(ben.page, 'stays as it is').getByRole('button', { name: 'fire, 1 reaction' }).waitFor();
  await row(ben.page, 'will be deleted').waitFor({ state: 'detached' });
  await inList(ben.page, GROUP).getByText('Message deleted').waitFor();
});

test('a quote of an old message loads the messages around it', async () => {
  const post = (body) =>
    server.call('POST', `/conversations/${group.id}/messages`, {
      token: accounts.cam.token,
      body: { temp_id: body.content, ...body },
    });
  const first = await post({ content: 'Far above' });
  for (let number = 1; number <= 160; number += 1) await post({ content: `Line ${number}` });
  await post({ content: 'See above', reply_to_id: first.id });
  await ben.page.reload();
  await row(ben.page, 'See above').locator('.quote').click();
  await ben.page.locator('.message.pointed').getByText('Far above').waitFor();
  assert.equal(await row(ben.page, 'See above').count(), 0);
  await post({ content: 'Said meanwhile' });
  await ben.page.getByRole('button', { name: /Jump to latest/ }).click();
  await row(ben.page, 'Said meanwhile').waitFor();
  await row(ben.page, 'See above').locator('.quote').click();
  await ben.page.locator('.message.pointed').getByText('Far above').waitFor();
  const lastSeq = async () => Number(await messageList(ben.page).locator('[data-seq]').last().getAttribute('data-seq'));
  const last = await lastSeq();
  await messageList(ben.page).evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await waitUntil(async () => (await lastSeq()) > last, 'more is loaded below');
  const bottom = await messageList(ben.page).evaluate((element) => {
    const edge = element.getBoundingClientRect().bottom;
    const visible = [...element.querySelectorAll('[data-seq]')].filter(
      (item) => item.getBoundingClientRect().top < edge,
    );
    return Number(visible.at(-1).dataset.seq);
  });
  assert.ok(bottom <= last + 1, `the position moved from ${last} to ${bottom}`);
  await waitUntil(async () => {
    await messageList(ben.page).evaluate((element) => element.scrollBy(0, 800));
    return (await row(ben.page, 'Said meanwhile').count()) === 1;
  }, 'the newest is reached by scrolling down');
  const seqs = await messageList(ben.page)
    .locator('[data-seq]')
    .evaluateAll((elements) => elements.map((element) => Number(element.dataset.seq)));
  assert.ok(
    seqs.every((seq, index) => index === 0 || seq > seqs[index - 1]),
    'in order, and each once',
  );
});

test('the menu of a message opens by keyboard', async () => {
  await messageList(ana.page).focus();
  await ana.page.keyboard.press('ArrowUp');
  await ana.page.keyboard.press('Enter');
  const menu = ana.page.getByRole('menu', { name: 'Message actions' });
  await menu.waitFor();
  await ana.page.keyboard.press('ArrowDown');
  await ana.page.keyboard.press('r');
  await ana.page.keyboard.press('Escape');
  await menu.waitFor({ state: 'detached' });
});

test('after deleting a message by keyboard the next message has the focus', async () => {
  await send(ana.page, 'Deleted by keyboard');
  await row(ana.page, 'Deleted by keyboard').locator('.status-sent, .status-delivered, .status-seen').waitFor();
  await messageList(ana.page).focus();
  for (const key of ['ArrowUp', 'Enter', 'd', 'Enter']) await ana.page.keyboard.press(key);
  await ana.page.getByRole('button', { name: 'Delete for me' }).focus();
  await ana.page.keyboard.press('Enter');
  await row(ana.page, 'Deleted by keyboard').waitFor({ state: 'detached' });
  assert.equal(await ana.page.evaluate(() => document.activeElement.getAttribute('role')), 'article');
  await ana.page.keyboard.press('Enter');
  await ana.page.getByRole('menu', { name: 'Message actions' }).waitFor();
  await ana.page.getByRole('menuitem', { name: 'React' }).press('Enter');
  await ana.page.getByRole('group', { name: 'Common' }).getByRole('button').first().focus();
  await ana.page.keyboard.press('ArrowRight');
  await ana.page.keyboard.press('Tab');
  assert.equal(await ana.page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Any emoji');
  await ana.page.keyboard.press('Escape');
});

test('a long press on a message opens its menu', async () => {
  const options = { viewport: PHONE, hasTouch: true, isMobile: true, colorScheme: 'dark' };
  const { context, page, problems } = await openPage(browser, server, options);
  await send(ben.page, 'Written for a finger');
  await signIn(page, BEN);
  await inList(page, GROUP).click();
  const bubble = row(page, 'Written for a finger').locator('.bubble');
  await bubble.waitFor();
  const { x, y } = await bubble.boundingBox();
  const touch = { x: x + 20, y: y + 10 };
  const session = await context.newCDPSession(page);
  await session.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [touch] });
  await page.getByRole('menuitem', { name: 'Edit' }).waitFor();
  await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await screenshot(page, 'phone-menu-dark');
  await page.getByRole('group', { name: 'React' }).getByRole('button', { name: 'red heart' }).tap();
  await row(ana.page, 'Written for a finger').getByRole('button', { name: 'red heart, 1 reaction' }).waitFor();
  await screenshot(page, 'phone-reacted-dark');
  await page.getByRole('button', { name: 'Group details' }).tap();
  await page.getByText('For you').waitFor();
  await screenshot(page, 'phone-details-dark');
  await context.close();
  assert.deepEqual(problems, []);
});

test('no page reported errors', () => {
  assert.deepEqual(ana.problems, []);
  assert.deepEqual(ben.problems, []);
});
