// Two users in one group, each in their own browser. A third member has no browser.
// This file contains the setup that several tests use, and helpers for their pages. It must not contain assertions;
// those belong to the tests.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SCREENSHOTS, Server, inList, launch, messageList, openPage, register, signIn } from './support.js';

export const ANA = { username: 'ana', name: 'Ana Lindqvist' };
export const BEN = { username: 'ben', name: 'Ben Okafor' };
export const CAM = { username: 'cam', name: 'Cam Duarte' };
export const GROUP = 'Garden club';

/** Ana owns the group, Ben and Cam are members. Ana and Ben also have a direct conversation, and open the group. */
export async function setup() {
  await mkdir(SCREENSHOTS, { recursive: true });
  const server = await Server.create();
  await server.start();
  const browser = await launch();
  const accounts = {};
  for (const user of [ANA, BEN, CAM]) accounts[user.username] = await register(server, user);
  const create = (body) => server.call('POST', '/conversations', { token: accounts.ana.token, body });
  const group = await create({ type: 'group', name: GROUP, participant_ids: [accounts.ben.id, accounts.cam.id] });
  await create({ type: 'direct', participant_ids: [accounts.ben.id] });
  const [ana, ben] = [await openPage(browser, server), await openPage(browser, server)];
  await signIn(ana.page, ANA);
  await signIn(ben.page, BEN);
  for (const { page } of [ana, ben]) {
    await inList(page, GROUP).click();
    await box(page).waitFor();
  }
  const closeAll = async () => {
    await browser.close();
    await server.remove();
  };
  return { server, browser, accounts, group, ana, ben, closeAll };
}

/** Takes a screenshot for people. No test reads it. */
export const screenshot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });

/** Returns the messages of the open room that contain a text. */
export const row = (page, text) => messageList(page).locator('.message').filter({ hasText: text });

export const box = (page) => page.getByRole('textbox', { name: 'Message', exact: true });

/** Opens the details of the open conversation. */
export async function details(page) {
  await page.getByRole('button', { name: /^(Group|Conversation) details$/ }).click();
  return page.getByRole('dialog', { name: /^(Group|Conversation) details$/ });
}

export const close = (page) => page.getByRole('button', { name: 'Close', exact: true }).click();
