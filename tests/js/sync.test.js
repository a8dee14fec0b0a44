// Staying level: first snapshot, resuming, resets and gaps, against a scripted connection and a scripted REST.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { WELCOME, settle } from './support.js';
import { event, mine, setup } from './sync-support.js';

test('the first connection takes a snapshot, then syncs from its revisions', async () => {
  const { connection, names, start } = setup();
  await start();
  assert.deepEqual(connection.requests[0], {
    ...connection.requests[0],
    type: 'sync',
    payload: { conversations: { c: 5 }, user_rev: 3, epoch: 'e1' },
  });
  assert.deepEqual(names(), ['snapshot', 'reads', 'ready']);
});

test('a conversation that the list does not show is followed from its revision', async () => {
  const { connection } = setup();
  connection.emit('open', { ...WELCOME, conversations: { archived: 7, c: 4 } });
  await settle();
  assert.deepEqual(connection.requests[0].payload.conversations, { archived: 7, c: 5 });
});

test('after a reconnect it resumes from what it holds, without a snapshot', async () => {
  const { connection, names, start } = setup();
  await start();
  connection.emit('frame', event(6));
  connection.emit('frame', mine('user.updated', 4, {}));
  connection.emit('close', 1006);
  connection.emit('open', WELCOME);
  await settle();
  assert.deepEqual(connection.requests[1].payload, { conversations: { c: 6 }, user_rev: 4, epoch: 'e1' });
  assert.deepEqual(names().filter((name) => name === 'snapshot').length, 1);
});

test('what was missed arrives once, also when it is sent twice', async () => {
  const { connection, seen, start, done } = setup();
  await start();
  connection.emit('close', 1006);
  connection.emit('open', WELCOME);
  await settle();
  for (const rev of [6, 7, 7, 6, 8]) connection.emit('frame', event(rev));
  done();
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [6, 7, 8],
  );
});

test('a thousand conversations are named in parts', async () => {
  const conversations = Array.from({ length: 1200 }, (_, index) => ({ id: `c${index}`, last_rev: 1 }));
  const { connection } = setup({ conversations });
  connection.emit('open', WELCOME);
  await settle();
  assert.deepEqual(
    connection.told.map(({ payload }) => [payload.more, Object.keys(payload.conversations).length]),
    [
      [true, 500],
      [true, 500],
    ],
  );
  assert.equal(Object.keys(connection.requests[0].payload.conversations).length, 200);
  assert.equal(connection.requests[0].payload.more, undefined);
});

test('a reset conversation is loaded anew; what comes meanwhile follows', async () => {
  const { connection, seen, start } = setup();
  await start();
  connection.emit('frame', { type: 'sync.reset', payload: { conversation_id: 'c', last_rev: 8 } });
  connection.emit('frame', event(9));
  connection.emit('frame', event(10));
  await settle();
  assert.deepEqual(
    seen.slice(-2).map(([name]) => name),
    ['reload', 'event'],
  );
  assert.equal(seen.at(-1)[1], 10);
});

test('a reload that fails is tried again', async () => {
  let tries = 0;
  const api = {
    conversation: async (id) => {
      tries += 1;
      if (tries === 1) throw new GreenroomError('network');
      return { id, last_rev: 9 };
    },
  };
  const { connection, names, time, start } = setup({ api });
  await start();
  connection.emit('frame', { type: 'sync.reset', payload: { conversation_id: 'c', last_rev: 8 } });
  await time.advance(5000);
  assert.ok(names().includes('reload'));
});

test('another epoch means beginning again', async () => {
  const { connection, names, start, sync } = setup();
  await start();
  connection.emit('frame', { type: 'sync.reset', payload: { conversation_id: null, last_rev: null } });
  assert.equal(connection.restarts, 1);
  assert.equal(sync.ready, false);
  connection.emit('open', { ...WELCOME, epoch: 'e2', user_rev: 1 });
  await settle();
  assert.equal(names().filter((name) => name === 'snapshot').length, 2);
  assert.equal(connection.requests.at(-1).payload.epoch, 'e2');
  assert.equal(connection.requests.at(-1).payload.user_rev, 1);
});

test('a hole on a live connection is asked for, and applied in order when it comes', async () => {
  const { connection, seen, start, done } = setup();
  await start();
  connection.emit('frame', event(8));
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 5 } });
  connection.emit('frame', event(6));
  connection.emit('frame', event(7));
  done();
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [6, 7, 8],
  );
});

test('a hole that stays is bridged by loading the conversation anew', async () => {
  const { connection, names, time, start, done } = setup();
  await start();
  connection.emit('frame', event(8));
  done();
  await time.advance(5000);
  assert.ok(names().includes('reload'));
});

test('a conversation that stays behind what sync.done promised is asked for, then loaded anew', async () => {
  const { connection, names, time, done } = setup();
  connection.emit('open', WELCOME);
  await settle();
  done({ conversations: { c: 8 } });
  await time.advance(4000);
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 5 } });
  done({ conversations: { c: 8 } });
  await time.advance(5000);
  assert.ok(names().includes('reload'));
});

test('a message that was acknowledged must come as an event, else it is asked for', async () => {
  const { connection, sync, time, start } = setup();
  await start();
  sync.expect('c', 7);
  connection.emit('frame', event(6));
  connection.emit('frame', event(7));
  await time.advance(10_000);
  assert.equal(connection.requests.length, 1);
  sync.expect('c', 9);
  await time.advance(4000);
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 7 } });
});

test('a conversation refused at sync is gone', async () => {
  const { connection, seen, done } = setup();
  connection.emit('open', WELCOME);
  await settle();
  done({ denied: [{ id: 'c', code: 'not_a_participant' }] });
  await settle();
  assert.deepEqual(seen.find(([name]) => name === 'gone')[1], { conversation_id: 'c', code: 'not_a_participant' });
});

test('a new conversation is followed from its revision, and events that overtook it are kept', async () => {
  const { connection, seen, start } = setup();
  await start();
  connection.emit('frame', event(3, 'new'));
  connection.emit('frame', mine('conversation.created', 4, { conversation: { id: 'new', last_rev: 2 } }));
  connection.emit('frame', event(4, 'new'));
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [4, 3, 4],
  );
});

test('the last events of a conversation one is out of ask nobody for it', async () => {
  const asked = [];
  const api = {
    conversation: async (id) => {
      asked.push(id);
      return { id, last_rev: 9 };
    },
  };
  const { connection, time, seen, start } = setup({ api });
  await start();
  connection.emit('frame', mine('conversation.removed', 4, { conversation_id: 'c' }));
  connection.emit('frame', event(6));
  await time.advance(10_000);
  assert.deepEqual(asked, []);
  connection.emit('frame', mine('conversation.created', 5, { conversation: { id: 'c', last_rev: 8 } }));
  connection.emit('frame', event(9));
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [4, 5, 9],
  );
});

const left = (rev, user_id) => ({
  type: 'participant.left',
  stream: 'conversation',
  rev,
  payload: { conversation_id: 'c', user_id, reason: 'removed' },
});

test('being removed is the end of a conversation, another’s leaving is not', async () => {
  const { connection, sync, seen, start } = setup();
  await start();
  connection.emit('frame', left(6, 'other'));
  assert.equal(sync.rev('c'), 6);
  connection.emit('frame', left(7, WELCOME.user_id));
  assert.deepEqual(seen.slice(-2), [
    ['event', 7],
    ['gone', { conversation_id: 'c', code: 'removed' }],
  ]);
  assert.equal(sync.rev('c'), null);
});

test('the word of having come back may overtake the word of having been removed', async () => {
  const { connection, names, start, sync } = setup();
  await start();
  connection.emit('frame', mine('conversation.created', 4, { conversation: { id: 'c', last_rev: 9 } }));
  connection.emit('frame', left(6, WELCOME.user_id));
  await settle();
  assert.deepEqual(names().slice(-2), ['event', 'reload']);
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 9 } });
  connection.emit('frame', event(10));
  assert.equal(sync.rev('c'), 10);
});

test('a conversation gained while the list is on its way is in the list, and is followed', async () => {
  let give;
  const { connection, seen, done } = setup({
    api: { conversations: ({ archived }) => (archived ? [] : new Promise((resolve) => (give = resolve))) },
  });
  connection.emit('open', WELCOME);
  connection.emit('frame', mine('conversation.created', 4, { conversation: { id: 'new', last_rev: 2 } }));
  give([{ id: 'c', last_rev: 5 }]);
  await settle();
  assert.deepEqual(
    seen.map(([name]) => name),
    ['snapshot', 'event'],
  );
  assert.deepEqual(connection.requests[0].payload, { conversations: { c: 5, new: 2 }, user_rev: 4, epoch: 'e1' });
  done();
  await settle();
  assert.deepEqual(connection.requests[1].payload, { conversations: { new: 2 } });
});

test('a conversation gained before the session’s first sync is asked for after it', async () => {
  const { connection, seen, start, done } = setup();
  await start();
  connection.emit('close', 1006);
  connection.emit('open', { ...WELCOME, user_rev: 4 });
  connection.emit('frame', mine('conversation.created', 5, { conversation: { id: 'new', last_rev: 2 } }));
  await settle();
  assert.equal(connection.requests.length, 2, 'the hole before it is what sync is about to fill');
  connection.emit('frame', mine('user.updated', 4, {}));
  done();
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [4, 5],
  );
  assert.deepEqual(connection.requests[2].payload, { conversations: { new: 2 } });
});

test('a lost connection during the snapshot leaves no half of it', async () => {
  let give;
  const { connection, names } = setup({ api: { conversations: () => new Promise((resolve) => (give = resolve)) } });
  connection.emit('open', WELCOME);
  await settle();
  connection.emit('close', 1006);
  give([{ id: 'c', last_rev: 5 }]);
  await settle();
  assert.deepEqual(names(), []);
  assert.equal(connection.requests.length, 0);
});

test('frames without a revision pass, frames of unknown streams do not', async () => {
  const { connection, seen, start } = setup();
  await start();
  connection.emit('frame', { type: 'typing.start', payload: {} });
  connection.emit('frame', { type: 'storm', stream: 'weather', rev: 1, payload: {} });
  assert.deepEqual(seen.at(-1), ['event', 'typing.start']);
});

test('the snapshot holds what is put away, too; what moved meanwhile is in it once, as it was last seen', async () => {
  const lists = {
    false: [{ id: 'a', last_rev: 1 }],
    true: [
      { id: 'b', last_rev: 2 },
      { id: 'a', last_rev: 3 },
    ],
  };
  const { connection, seen } = setup({ api: { conversations: async ({ archived }) => lists[archived] } });
  connection.emit('open', WELCOME);
  await settle();
  const [, { conversations }] = seen.find(([name]) => name === 'snapshot');
  assert.deepEqual(conversations, [
    { id: 'a', last_rev: 3 },
    { id: 'b', last_rev: 2 },
  ]);
});
