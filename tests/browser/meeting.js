// Two people in one group, each in a browser of their own; a third is in it too, without one.
// Lives here: how the stories about features begin. May not live here: expectations; those belong to the tests.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SHOTS, Server, inList, launch, log, openPage, register, signIn } from './support.js';

export const ANA = { username: 'ana', name: 'Ana Lindqvist' };
export const BEN = { username: 'ben', name: 'Ben Okafor' };
export const CAM = { username: 'cam', name: 'Cam Duarte' };
export const GROUP = 'Garden club';

/** Ana owns the group, Ben and Cam are members; Ana and Ben have a direct conversation, and look at the group. */
export async function meet() {
  await mkdir(SHOTS, { recursive: true });
  const server = await Server.create();
  await server.start();
  const browser = await launch();
  const people = {};
  for (const one of [ANA, BEN, CAM]) people[one.username] = await register(server, one);
  const create = (body) => server.call('POST', '/conversations', { token: people.ana.token, body });
  const group = await create({ type: 'group', name: GROUP, participant_ids: [people.ben.id, people.cam.id] });
  await create({ type: 'direct', participant_ids: [people.ben.id] });
  const [ana, ben] = [await openPage(browser, server), await openPage(browser, server)];
  await signIn(ana.page, ANA);
  await signIn(ben.page, BEN);
  for (const { page } of [ana, ben]) {
    await inList(page, GROUP).click();
    await box(page).waitFor();
  }
  const part = async () => {
    await browser.close();
    await server.remove();
  };
  return { server, browser, people, group, ana, ben, part };
}

/** A picture for human eyes; no test reads it. */
export const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`) });

/** The messages of the open room that hold a text. */
export const row = (page, text) => log(page).locator('.message').filter({ hasText: text });

export const box = (page) => page.getByRole('textbox', { name: 'Message', exact: true });

/** Opens the details of the open conversation. */
export async function details(page) {
  await page.getByRole('button', { name: /^(Group|Conversation) details$/ }).click();
  return page.getByRole('dialog', { name: /^(Group|Conversation) details$/ });
}

export const close = (page) => page.getByRole('button', { name: 'Close', exact: true }).click();
