// The page before login: loading, and refused logins.

import { after, before, test } from 'node:test';
import { PASSWORD, Server, launch, openPage, waitUntil } from './support.js';

let server;
let browser;

before(async () => {
  server = await Server.create();
  await server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

test('a wrong password and a taken username are refused with a text', async () => {
  await server.call('POST', '/auth/register', { body: { username: 'ana', password: PASSWORD } });
  const { context, page } = await openPage(browser, server);
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill('ana');
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill('not the password');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('alert').filter({ hasText: 'do not match' }).waitFor();
  await page.getByRole('link', { name: 'Create account', exact: true }).click();
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill('ANA');
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  await page.getByText('already has that username').waitFor();
  await page.getByRole('textbox', { name: 'Username', exact: true }).fill('x');
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  await page.getByText('Use 3 to 32 letters').waitFor();
  await context.close();
});

test('a page that could not load all its files reloads itself', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  for (const file of ['**/app/store.js', '**/css/base.css']) {
    await page.route(file, (route) => route.abort(), { times: 1 });
    await page.goto('about:blank');
    await page.goto(server.url);
    await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    const isStyled = () => page.evaluate(() => getComputedStyle(document.body).marginTop === '0px').catch(() => false);
    await waitUntil(isStyled, 'the page has its styles');
  }
  await context.close();
});
