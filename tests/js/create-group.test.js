// Creating a group when the answer is lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversationActions } from '../../static/app/actions/conversations.js';
import { conversation, setup } from './app-support.js';

function createActions(outcomes) {
  const { store } = setup();
  const sent = [];
  const api = {
    async createGroup(name, userIds, tempId) {
      sent.push({ name, userIds, tempId });
      const outcome = outcomes.shift();
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  };
  const client = { api, sync: { addConversation() {} } };
  return { actions: conversationActions({ client, store, router: { go() {} } }), sent };
}

const group = (id) => conversation({ id, type: 'group', name: 'Chess', peer: null });

test('after a lost answer the same group keeps its temp_id, and another group has another one', async () => {
  const lost = new Error('network');
  const { actions, sent } = createActions([lost, lost, group('g'), group('h'), lost, group('i')]);
  await assert.rejects(actions.createGroup('Chess', ['a']));
  await assert.rejects(actions.createGroup('Chess', ['a']));
  await actions.createGroup('Chess', ['a']);
  await actions.createGroup('Chess', ['a']);
  await assert.rejects(actions.createGroup('Chess', ['a']));
  await actions.createGroup('Chess', ['a', 'b']);
  const ids = sent.map(({ tempId }) => tempId);
  assert.ok(ids.every((id) => typeof id === 'string' && id.length <= 64));
  assert.deepEqual([ids[1], ids[2]], [ids[0], ids[0]], 'the answer was lost');
  assert.equal(new Set(ids).size, 4, 'an earlier group and a changed group have their own id');
});
