// The app on a phone: touch, no hover, a small screen. Ana has a phone, and Ben wrote to her.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PHONE, Server, inList, launch, messageList, openPage, register, signIn, waitUntil, writeMany } from './support.js';

const ANA = { username: 'ana', name: 'Ana Lindqvist' };
const BEN = { username: 'ben', name: 'Ben Okafor' };

let server;
let browser;
let page;
let context;
let problems;
let session;

before(async () => {
  server = await Server.create();
  await server.start();
  browser = await launch();
  const [ana, ben] = [await register(server, ANA), await register(server, BEN)];
  const body = { type: 'direct', participant_ids: [ana.id] };
  const { id } = await server.call('POST', '/conversations', { token: ben.token, body });
  await writeMany(server, ben, id, { count: 3, textOf: (number) => `Message number ${number} is here` });
  const options = { viewport: PHONE, hasTouch: true, isMobile: true };
  ({ context, page, problems } = await openPage(browser, server, options));
  session = await context.newCDPSession(page);
  await signIn(page, ANA);
  await inList(page, BEN.name).tap();
  await row(3).waitFor();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

const row = (number) => messageList(page).locator('.message').filter({ hasText: `number ${number} ` });
const box = () => page.getByRole('textbox', { name: 'Message', exact: true });

/** Moves a finger from the middle of a bubble, step by step. The finger stays down. */
async function drag(bubble, { x: byX, y: byY = 0 }) {
  const { x, y, width, height } = await bubble.boundingBox();
  const start = { x: x + width / 2, y: y + height / 2 };
  const dispatch = (type, touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
  await dispatch('touchStart', [start]);
  for (let step = 1; step <= 10; step += 1)
    await dispatch('touchMove', [{ x: start.x + (byX * step) / 10, y: start.y + (byY * step) / 10 }]);
}

const lift = () => session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });

test('Enter begins a new line, and the button sends', async () => {
  await box().tap();
  await page.keyboard.type('first line');
  await page.keyboard.press('Enter');
  await page.keyboard.type('second line');
  assert.equal(await box().inputValue(), 'first line\nsecond line');
  assert.equal(await box().getAttribute('enterkeyhint'), 'enter');
  await page.getByRole('button', { name: 'Send', exact: true }).tap();
  await messageList(page).getByText('first line second line').waitFor();
  assert.equal(await box().inputValue(), '');
});

test('no button narrows the bubbles, and a bubble may use most of the width', async () => {
  assert.equal(await messageList(page).locator('.tool').count(), 0);
  await box().fill('A long text that needs more than one line, because it goes on and on and on until it wraps.');
  await page.getByRole('button', { name: 'Send', exact: true }).tap();
  const bubble = messageList(page).locator('.bubble').filter({ hasText: 'until it wraps' });
  const widthOf = (elements) => elements[0]?.getBoundingClientRect().width ?? 0;
  await waitUntil(async () => (await bubble.evaluateAll(widthOf)) > PHONE.width * 0.75, 'the bubble is wide');
});

test('what was touched does not stay highlighted as under a pointer', async () => {
  const hovers = await page.evaluate(() => {
    const rules = (list) => [...list].flatMap((rule) => [rule, ...(rule.cssRules ? rules(rule.cssRules) : [])]);
    const isHover = ({ selectorText = '' }) => selectorText.includes(':hover');
    const applies = (rule) => {
      for (let parent = rule.parentRule; parent; parent = parent.parentRule)
        if (parent.media && !matchMedia(parent.media.mediaText).matches) return false;
      return true;
    };
    return [...document.styleSheets]
      .flatMap((sheet) => rules(sheet.cssRules))
      .filter((rule) => isHover(rule) && applies(rule))
      .map(({ selectorText }) => selectorText);
  });
  assert.deepEqual(hovers, []);
});

test('a swipe to the side answers the message, a short one and a scroll do not', async () => {
  const bubble = row(2).locator('.bubble');
  await drag(bubble, { x: 30 });
  await lift();
  await drag(bubble, { x: 8, y: 90 });
  await lift();
  assert.equal(await page.locator('.reply-bar').isVisible(), false);
  for (const x of [90, -90]) {
    await drag(bubble, { x });
    await lift();
    await page.locator('.reply-bar').getByText('Message number 2').waitFor();
    assert.equal(await row(2).evaluate((element) => element.className.includes('swip')), false);
    await box().press('Escape');
    await page.locator('.reply-bar').waitFor({ state: 'hidden' });
  }
  assert.equal(await messageList(page).locator('.tool').count(), 0, 'no buttons stay where the finger was');
});

test('text can be selected, from the menu of a long press', async () => {
  const text = row(1).locator('.message-text');
  const select = () => text.evaluate((element) => getComputedStyle(element).userSelect);
  assert.notEqual(await select(), 'none');
  await drag(row(1).locator('.bubble'), { x: 0 });
  await page.getByRole('menuitem', { name: 'Select text' }).waitFor();
  await lift();
  await page.getByRole('menuitem', { name: 'Select text' }).tap();
  await waitUntil(
    async () => (await page.evaluate(() => String(getSelection()))) === 'Message number 1 is here',
    'the text is selected',
  );
  await page.evaluate(() => getSelection().removeAllRanges());
  await waitUntil(
    async () => !(await row(1).evaluate((element) => element.classList.contains('selecting'))),
    'the selection is over',
  );
});

test('the menu can also be reached without a long press', async () => {
  await row(1).getByRole('button', { name: 'Message actions' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('menu', { name: 'Message actions' }).waitFor();
  await page.keyboard.press('Escape');
});

test('the page reported no errors', () => {
  assert.deepEqual(problems, []);
});
