// What users do with conversations and members, with two users in two browsers.
// The tests of this file depend on each other: each continues where the one before it ended.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ANA, BEN, box, close, details, GROUP, setup, row, screenshot } from './two-users.js';
import { inList, messageList, messageMenu, send, waitUntil } from './support.js';

let server;
let accounts;
let group;
let ana;
let ben;
let closeAll;

before(async () => {
  ({ server, accounts, group, ana, ben, closeAll } = await setup());
});

after(() => closeAll?.());

test('a group gets another name and description, and a system message', async () => {
  const dialog = await details(ana.page);
  await dialog.getByRole('button', { name: 'Change name, picture or description' }).click();
  await dialog.getByRole('textbox', { name: 'Group name' }).fill('Garden circle');
  await dialog.getByRole('textbox', { name: 'Description' }).fill('Beds, tools and who waters what.');
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.getByText('Beds, tools and who waters what.').waitFor();
  await inList(ben.page, 'Garden circle').waitFor();
  await messageList(ben.page).getByText(`${ANA.name} named the group “Garden circle”`).waitFor();
  await screenshot(ana.page, 'details-light');
  await dialog.getByRole('button', { name: 'Change name, picture or description' }).click();
  await dialog.getByRole('textbox', { name: 'Group name' }).fill(GROUP);
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await inList(ben.page, GROUP).waitFor();
  await dialog.getByRole('button', { name: 'Add people' }).click();
  await dialog.getByRole('searchbox', { name: 'Find people' }).fill(BEN.username);
  await dialog.getByText('Already in the group.').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await close(ana.page);
});

test('a role changes what a member can do', async () => {
  await send(ana.page, 'An observer can still copy.');
  await row(ben.page, 'An observer can still copy.').waitFor();
  const dialog = await details(ana.page);
  const members = dialog.getByRole('list', { name: 'Members' });
  const setRole = async (item) => {
    await dialog.getByRole('button', { name: `Manage ${BEN.name}` }).click();
    await ana.page.getByRole('menuitem', { name: item, exact: true }).click();
  };
  await setRole('Make admin');
  await members.getByRole('listitem').filter({ hasText: BEN.name }).getByText('Admin').waitFor();
  const benDetails = await details(ben.page);
  await benDetails.getByRole('button', { name: 'Add people' }).waitFor();
  await setRole('Make observer');
  await benDetails.getByRole('button', { name: 'Add people' }).waitFor({ state: 'hidden' });
  await close(ben.page);
  await ben.page.getByText('You can read here, but not write.').waitFor();
  assert.equal(await box(ben.page).count(), 0);
  const menu = await messageMenu(ben.page, row(ben.page, 'An observer can still copy.'));
  assert.deepEqual(await menu.getByRole('menuitem').allTextContents(), ['Copy', 'Delete']);
  await ben.page.keyboard.press('Escape');
  await setRole('Make owner…');
  await ana.page.getByRole('button', { name: 'Make owner', exact: true }).click();
  await box(ben.page).waitFor();
  await members.getByRole('listitem').filter({ hasText: ANA.name }).getByText('Admin').waitFor();
  await close(ana.page);
});

test('a muted archived conversation stays archived, one that is not muted is shown after a message', async () => {
  const dialog = await details(ana.page);
  await dialog.getByRole('button', { name: 'Mute…' }).click();
  await ana.page.getByRole('menuitem', { name: 'For 8 hours' }).click();
  await dialog.getByText(/^Muted until/).waitFor();
  await dialog.getByRole('radio', { name: 'Mentions' }).check();
  const top = dialog.getByRole('checkbox', { name: 'Keep at the top of the list' });
  await top.focus();
  await ana.page.keyboard.press('Space');
  await inList(ana.page, GROUP).getByText('Muted').waitFor({ state: 'attached' });
  await inList(ana.page, GROUP).getByText('Pinned').waitFor({ state: 'attached' });
  assert.ok(await top.evaluate((input) => input.checked && input === document.activeElement));
  await dialog.getByRole('checkbox', { name: /^Archive/ }).check();
  await close(ana.page);
  await ana.page.getByRole('button', { name: 'Archived, 1' }).waitFor();
  await inList(ana.page, BEN.name).click();
  await inList(ana.page, GROUP).waitFor({ state: 'detached' });
  await send(ben.page, 'Muted, so it stays archived.');
  await ana.page.getByRole('button', { name: 'Archived, 1' }).click();
  await inList(ana.page, GROUP).getByText('Muted, so it stays archived.').waitFor();
  await screenshot(ana.page, 'archived-light');
  await inList(ana.page, GROUP).click();
  const again = await details(ana.page);
  assert.ok(await again.getByRole('radio', { name: 'Mentions' }).isChecked());
  await again.getByRole('button', { name: 'Unmute' }).click();
  await close(ana.page);
  await inList(ana.page, BEN.name).waitFor();
  await inList(ana.page, GROUP).waitFor();
  await ana.page.reload();
  await inList(ana.page, GROUP).click({ button: 'right' });
  await ana.page.getByRole('menuitem', { name: 'Archive' }).click();
  await inList(ana.page, BEN.name).click();
  await inList(ana.page, GROUP).waitFor({ state: 'detached' });
  await send(ben.page, 'This brings it back.');
  await inList(ana.page, GROUP).getByText('This brings it back.').waitFor();
});

test('the statistics show the messages by member', async () => {
  const dialog = await details(ben.page);
  await dialog.getByText('Statistics').click();
  await dialog.getByRole('list', { name: 'Messages by member' }).getByText('You').waitFor();
  await close(ben.page);
});

test('after a block neither user can write, after unblocking both can', async () => {
  for (const [user, name] of [
    [ana, BEN.name],
    [ben, ANA.name],
  ])
    await inList(user.page, name).click();
  const dialog = await details(ana.page);
  await dialog.getByRole('button', { name: 'Block', exact: true }).click();
  await ana.page.getByRole('button', { name: 'Block', exact: true }).last().click();
  await dialog.getByRole('button', { name: 'Unblock' }).waitFor();
  await close(ana.page);
  await ana.page.getByText(`You blocked ${BEN.name}. Unblock to write again.`).waitFor();
  await ben.page.getByText('You cannot write to this person.').waitFor();
  assert.equal(await box(ben.page).count(), 0);
  await screenshot(ana.page, 'blocked-light');
  await ana.page.getByRole('button', { name: `Settings for ${ANA.name}` }).click();
  await ana.page.getByRole('button', { name: `Unblock ${BEN.name}` }).click();
  await ana.page.getByText('Nobody. To block somebody').waitFor();
  await close(ana.page);
  await box(ben.page).waitFor();
  await send(ben.page, 'Friends again?');
  await messageList(ana.page).getByText('Friends again?').waitFor();
});

test('when the owner leaves a group, another member owns it', async () => {
  await inList(ben.page, GROUP).click();
  const dialog = await details(ben.page);
  await dialog.getByRole('button', { name: 'Leave group' }).click();
  await ben.page.getByText('Somebody else becomes its owner.').waitFor();
  await ben.page.getByRole('button', { name: 'Leave', exact: true }).click();
  await inList(ben.page, GROUP).waitFor({ state: 'detached' });
  await inList(ana.page, GROUP).click();
  await messageList(ana.page).getByText(`${BEN.name} left`).waitFor();
  const own = await details(ana.page);
  await own.getByRole('listitem').filter({ hasText: ANA.name }).getByText('Owner').waitFor();
  await close(ana.page);
});

test('a user who is removed from the open conversation sees a note', async () => {
  const path = `/conversations/${group.id}/members`;
  const { token } = accounts.ana;
  await server.call('POST', path, { token, body: { user_ids: [accounts.ben.id] } });
  await inList(ben.page, GROUP).click();
  await box(ben.page).waitFor();
  await details(ben.page);
  await server.call('DELETE', `${path}/${accounts.ben.id}`, { token });
  await ben.page.getByText(`You are no longer in “${GROUP}”.`).waitFor();
  await ben.page.getByRole('dialog').waitFor({ state: 'detached' });
  await inList(ben.page, GROUP).waitFor({ state: 'detached' });
});

test('no page reported errors', () => {
  assert.deepEqual(ana.problems, []);
  assert.deepEqual(ben.problems, []);
});
