// Synchronization: the first snapshot, resuming, resets and gaps, with a fake connection and a fake REST API.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { WELCOME, settle } from './support.js';
import { event, userEvent, setup } from './sync-support.js';

test('the first connection loads a snapshot, then syncs from its revisions', async () => {
  const { connection, names, start } = setup();
  await start();
  assert.deepEqual(connection.requests[0], {
    ...connection.requests[0],
    type: 'sync',
    payload: { conversations: { c: 5 }, user_rev: 3, epoch: 'e1' },
  });
  assert.deepEqual(names(), ['snapshot', 'reads', 'ready']);
});

test('a conversation that is not in the list is followed from its revision', async () => {
  const { connection } = setup();
  connection.emit('open', { ...WELCOME, conversations: { archived: 7, c: 4 } });
  await settle();
  assert.deepEqual(connection.requests[0].payload.conversations, { archived: 7, c: 5 });
});

test('after a reconnect the client resumes from its revisions, without a snapshot', async () => {
  const { connection, names, start } = setup();
  await start();
  connection.emit('frame', event(6));
  connection.emit('frame', userEvent('user.updated', 4, {}));
  connection.emit('close', 1006);
  connection.emit('open', WELCOME);
  await settle();
  assert.deepEqual(connection.requests[1].payload, { conversations: { c: 6 }, user_rev: 4, epoch: 'e1' });
  assert.deepEqual(names().filter((name) => name === 'snapshot').length, 1);
});

test('missed events are applied once, also when they are sent twice', async () => {
  const { connection, seen, start, answerSync } = setup();
  await start();
  connection.emit('close', 1006);
  connection.emit('open', WELCOME);
  await settle();
  for (const rev of [6, 7, 7, 6, 8]) connection.emit('frame', event(rev));
  answerSync();
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [6, 7, 8],
  );
});

test('a sync of a thousand conversations is sent in several frames', async () => {
  const conversations = Array.from({ length: 1200 }, (_, index) => ({ id: `c${index}`, last_rev: 1 }));
  const { connection } = setup({ conversations });
  connection.emit('open', WELCOME);
  await settle();
  assert.deepEqual(
    connection.sent.map(({ payload }) => [payload.more, Object.keys(payload.conversations).length]),
    [
      [true, 500],
      [true, 500],
    ],
  );
  assert.equal(Object.keys(connection.requests[0].payload.conversations).length, 200);
  assert.equal(connection.requests[0].payload.more, undefined);
});

test('a reset conversation is loaded again; events that come meanwhile follow', async () => {
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

test('a failed reload is repeated', async () => {
  let attempts = 0;
  const api = {
    conversation: async (id) => {
      attempts += 1;
      if (attempts === 1) throw new GreenroomError('network');
      return { id, last_rev: 9 };
    },
  };
  const { connection, names, time, start } = setup({ api });
  await start();
  connection.emit('frame', { type: 'sync.reset', payload: { conversation_id: 'c', last_rev: 8 } });
  await time.advance(5000);
  assert.ok(names().includes('reload'));
});

test('with another epoch the client starts again', async () => {
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

test('a gap on an open connection is requested, and its events are applied in order', async () => {
  const { connection, seen, start, answerSync } = setup();
  await start();
  connection.emit('frame', event(8));
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 5 } });
  connection.emit('frame', event(6));
  connection.emit('frame', event(7));
  answerSync();
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [6, 7, 8],
  );
});

test('if a gap stays, the conversation is loaded again', async () => {
  const { connection, names, time, start, answerSync } = setup();
  await start();
  connection.emit('frame', event(8));
  answerSync();
  await time.advance(5000);
  assert.ok(names().includes('reload'));
});

test('events that sync.done named and that do not come are requested, then loaded again', async () => {
  const { connection, names, time, answerSync } = setup();
  connection.emit('open', WELCOME);
  await settle();
  answerSync({ conversations: { c: 8 } });
  await time.advance(4000);
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 5 } });
  answerSync({ conversations: { c: 8 } });
  await time.advance(5000);
  assert.ok(names().includes('reload'));
});

test('if the event of an acknowledged message does not come, it is requested', async () => {
  const { connection, sync, time, start } = setup();
  await start();
  sync.expectRev('c', 7);
  connection.emit('frame', event(6));
  connection.emit('frame', event(7));
  await time.advance(10_000);
  assert.equal(connection.requests.length, 1);
  sync.expectRev('c', 9);
  await time.advance(4000);
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 7 } });
});

test('a conversation that sync refuses is removed', async () => {
  const { connection, seen, answerSync } = setup();
  connection.emit('open', WELCOME);
  await settle();
  answerSync({ denied: [{ id: 'c', code: 'not_a_participant' }] });
  await settle();
  assert.deepEqual(seen.find(([name]) => name === 'gone')[1], { conversation_id: 'c', code: 'not_a_participant' });
});

test('a new conversation is followed from its revision, and events that came before it are kept', async () => {
  const { connection, seen, start } = setup();
  await start();
  connection.emit('frame', event(3, 'new'));
  connection.emit('frame', userEvent('conversation.created', 4, { conversation: { id: 'new', last_rev: 2 } }));
  connection.emit('frame', event(4, 'new'));
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [4, 3, 4],
  );
});

test('the last events of a conversation that the user left do not load it again', async () => {
  const requested = [];
  const api = {
    conversation: async (id) => {
      requested.push(id);
      return { id, last_rev: 9 };
    },
  };
  const { connection, time, seen, start } = setup({ api });
  await start();
  connection.emit('frame', userEvent('conversation.removed', 4, { conversation_id: 'c' }));
  connection.emit('frame', event(6));
  await time.advance(10_000);
  assert.deepEqual(requested, []);
  connection.emit('frame', userEvent('conversation.created', 5, { conversation: { id: 'c', last_rev: 8 } }));
  connection.emit('frame', event(9));
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [4, 5, 9],
  );
});

const leftEvent = (rev, user_id) => ({
  type: 'participant.left',
  stream: 'conversation',
  rev,
  payload: { conversation_id: 'c', user_id, reason: 'removed' },
});

test('a conversation ends when the user is removed, not when another participant leaves', async () => {
  const { connection, sync, seen, start } = setup();
  await start();
  connection.emit('frame', leftEvent(6, 'other'));
  assert.equal(sync.rev('c'), 6);
  connection.emit('frame', leftEvent(7, WELCOME.user_id));
  assert.deepEqual(seen.slice(-2), [
    ['event', 7],
    ['gone', { conversation_id: 'c', code: 'removed' }],
  ]);
  assert.equal(sync.rev('c'), null);
});

test('the event that adds the user again may come before the event that removed the user', async () => {
  const { connection, names, start, sync } = setup();
  await start();
  connection.emit('frame', userEvent('conversation.created', 4, { conversation: { id: 'c', last_rev: 9 } }));
  connection.emit('frame', leftEvent(6, WELCOME.user_id));
  await settle();
  assert.deepEqual(names().slice(-2), ['event', 'reload']);
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 9 } });
  connection.emit('frame', event(10));
  assert.equal(sync.rev('c'), 10);
});

test('a conversation that is added while the list is loaded is in the list, and is followed', async () => {
  let resolveList;
  const { connection, seen, answerSync } = setup({
    api: { conversations: ({ archived }) => (archived ? [] : new Promise((resolve) => (resolveList = resolve))) },
  });
  connection.emit('open', WELCOME);
  connection.emit('frame', userEvent('conversation.created', 4, { conversation: { id: 'new', last_rev: 2 } }));
  resolveList([{ id: 'c', last_rev: 5 }]);
  await settle();
  assert.deepEqual(
    seen.map(([name]) => name),
    ['snapshot', 'event'],
  );
  assert.deepEqual(connection.requests[0].payload, { conversations: { c: 5, new: 2 }, user_rev: 4, epoch: 'e1' });
  answerSync();
  await settle();
  assert.deepEqual(connection.requests[1].payload, { conversations: { new: 2 } });
});

test('a conversation added before the first sync is subscribed to after it', async () => {
  const { connection, seen, start, answerSync } = setup();
  await start();
  connection.emit('close', 1006);
  connection.emit('open', { ...WELCOME, user_rev: 4 });
  connection.emit('frame', userEvent('conversation.created', 5, { conversation: { id: 'new', last_rev: 2 } }));
  await settle();
  assert.equal(connection.requests.length, 2, 'the running sync fills the gap before it');
  connection.emit('frame', userEvent('user.updated', 4, {}));
  answerSync();
  await settle();
  assert.deepEqual(
    seen.filter(([name]) => name === 'event').map(([, rev]) => rev),
    [4, 5],
  );
  assert.deepEqual(connection.requests[2].payload, { conversations: { new: 2 } });
});

test('if the connection is lost while the snapshot is loaded, nothing of it is applied', async () => {
  let resolveList;
  const { connection, names } = setup({
    api: { conversations: () => new Promise((resolve) => (resolveList = resolve)) },
  });
  connection.emit('open', WELCOME);
  await settle();
  connection.emit('close', 1006);
  resolveList([{ id: 'c', last_rev: 5 }]);
  await settle();
  assert.deepEqual(names(), []);
  assert.equal(connection.requests.length, 0);
});

test('frames without a revision are emitted, frames of unknown streams are not', async () => {
  const { connection, seen, start } = setup();
  await start();
  connection.emit('frame', { type: 'typing.start', payload: {} });
  connection.emit('frame', { type: 'storm', stream: 'weather', rev: 1, payload: {} });
  assert.deepEqual(seen.at(-1), ['event', 'typing.start']);
});

test('the snapshot contains archived conversations; a conversation in both lists is taken once', async () => {
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
