// Requests that the app sends by itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversationActions } from '../../static/app/actions/conversations.js';
import { my, setup } from './app-support.js';

test('the unread count is loaded once for many hidden messages, and once more for later ones', async () => {
  const { store, c } = setup({ unread_count: 5, my: my(0) });
  const answers = [];
  const api = { conversation: () => new Promise((resolve) => answers.push(resolve)) };
  const { refreshUnread } = conversationActions({ client: { api }, store, router: {} });
  const refreshes = [refreshUnread('c'), refreshUnread('c'), refreshUnread('c')];
  const answer = (unread_count) => ({ id: 'c', last_rev: 10, unread_count, my: my(0) });
  answers.shift()(answer(3));
  await Promise.resolve();
  await new Promise((done) => setImmediate(done));
  assert.equal(answers.length, 1);
  answers.shift()(answer(2));
  await Promise.all(refreshes);
  assert.deepEqual([c().unread_count, answers.length], [2, 0]);
});
