// Making a group whose answer was lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversationActions } from '../../static/app/actions/conversations.js';
import { conversation, setup } from './app-support.js';

function creating(outcomes) {
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
  const client = { api, sync: { adopt() {} } };
  return { actions: conversationActions({ client, store, router: { go() {} } }), sent };
}

const group = (id) => conversation({ id, type: 'group', name: 'Chess', peer: null });

test('a group whose answer was lost is asked for again by the same temp_id, and another one by its own', async () => {
  const lost = new Error('network');
  const { actions, sent } = creating([lost, lost, group('g'), group('h'), lost, group('i')]);
  await assert.rejects(actions.createGroup('Chess', ['a']));
  await assert.rejects(actions.createGroup('Chess', ['a']));
  await actions.createGroup('Chess', ['a']);
  await actions.createGroup('Chess', ['a']);
  await assert.rejects(actions.createGroup('Chess', ['a']));
  await actions.createGroup('Chess', ['a', 'b']);
  const ids = sent.map(({ tempId }) => tempId);
  assert.ok(ids.every((id) => typeof id === 'string' && id.length <= 64));
  assert.deepEqual([ids[1], ids[2]], [ids[0], ids[0]], 'the lost one');
  assert.equal(new Set(ids).size, 4, 'made before, and changed meanwhile: other groups');
});
