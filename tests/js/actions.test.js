// What the app asks the server for by itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversationActions } from '../../static/app/actions/conversations.js';
import { my, setup } from './app-support.js';

test('what is unread is asked for once for many hidden at once, and once more for those meanwhile', async () => {
  const { store, c } = setup({ unread_count: 5, my: my(0) });
  const answers = [];
  const api = { conversation: () => new Promise((answer) => answers.push(answer)) };
  const { settleUnread } = conversationActions({ client: { api }, store, router: {} });
  const settled = [settleUnread('c'), settleUnread('c'), settleUnread('c')];
  const told = (unread_count) => ({ id: 'c', last_rev: 10, unread_count, my: my(0) });
  answers.shift()(told(3));
  await Promise.resolve();
  await new Promise((done) => setImmediate(done));
  assert.equal(answers.length, 1);
  answers.shift()(told(2));
  await Promise.all(settled);
  assert.deepEqual([c().unread_count, answers.length], [2, 0]);
});
