// Events and state: repetitions count once, unknown frames change nothing, rooms have no gap.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyMessage } from '../../static/app/dispatch.js';
import {
  setConversations,
  moveReadMark,
  moveReadMarks,
  sortedConversations,
  titleOf,
  totalUnread,
} from '../../static/app/state/conversations.js';
import { hasBefore } from '../../static/app/state/message-window.js';
import { getRoom, showPage } from '../../static/app/state/rooms.js';
import { Store } from '../../static/app/store.js';
import { systemText } from '../../static/app/views/texts.js';
import { ANA, messageNew, message, my, setup, showNewestPage } from './app-support.js';

const seqsOf = (room) => room.items.map(({ seq }) => seq);

test('a new message changes count and preview, and is counted once if it is repeated', () => {
  const { c, apply } = setup();
  apply(messageNew(11, 5));
  apply(messageNew(11, 5));
  assert.deepEqual([c().unread_count, c().last_seq, c().last_message.content], [2, 5, 'text 5']);
});

test('an event that the snapshot already contains is not counted', () => {
  const { c, apply } = setup();
  apply(messageNew(10, 4));
  assert.equal(c().unread_count, 1);
});

test('system messages and own messages do not count; a user who writes has read everything', () => {
  const { c, apply } = setup();
  apply(messageNew(11, 5, null, { type: 'system' }));
  assert.equal(c().unread_count, 1);
  apply(messageNew(12, 6, 'me'));
  assert.deepEqual([c().unread_count, c().my.last_read_seq], [0, 6]);
});

test('the late answer to an own message does not mark later messages as read', () => {
  const { store, c, room, apply } = setup({ unread_count: 0, my: my(4) });
  showNewestPage(store, { items: [message(3), message(4)], has_more_before: true, rev: 10 });
  apply(messageNew(11, 5, 'me'));
  apply(messageNew(12, 6));
  applyMessage(store, message(5, 'me'), null);
  assert.deepEqual([c().unread_count, c().last_seq, seqsOf(room())], [1, 6, [3, 4, 5, 6]]);
});

test('the answer to a send may come before the event of the message before it', () => {
  const { store, room, apply } = setup();
  showNewestPage(store, { items: [message(4)], has_more_before: true, rev: 10 });
  applyMessage(store, message(6, 'me'), null);
  apply(messageNew(11, 5));
  apply(messageNew(12, 6, 'me'));
  assert.deepEqual(seqsOf(room()), [4, 5, 6]);
});

test('a read mark from another device lowers the count, but not below the loaded messages', () => {
  const { store, c, apply } = setup({ last_seq: 0, unread_count: 0, my: my(0), last_rev: 0 });
  showNewestPage(store, { items: [], has_more_before: false, rev: 0 });
  for (const seq of [1, 2, 3]) apply(messageNew(seq, seq));
  moveReadMark(store, { conversation_id: 'c', last_read_seq: 2, unread_count: 0 });
  assert.equal(c().unread_count, 1);
  apply({ type: 'conversation.read', payload: { conversation_id: 'c', last_read_seq: 1, unread_count: 2 } });
  assert.deepEqual([c().my.last_read_seq, c().unread_count], [2, 1]);
  moveReadMarks(store, { c: 3, unknown: 9 });
  assert.equal(c().unread_count, 0);
});

test('pages are joined without repetitions, and live messages that came meanwhile stay', () => {
  const { store, room, apply } = setup();
  getRoom(store.state, 'c').status = 'loading';
  apply(messageNew(11, 5));
  showNewestPage(store, { items: [message(3), message(4)], has_more_before: true, rev: 10 });
  showPage(store, 'c', { items: [message(1), message(2)], has_more_before: false, rev: 11 }, { before: 3 }, 5);
  assert.deepEqual(seqsOf(room()), [1, 2, 3, 4, 5]);
});

test('a page that does not touch the room replaces it', () => {
  const { store, room } = setup();
  showNewestPage(store, { items: [message(1), message(2)], has_more_before: false, rev: 5 });
  showNewestPage(store, { items: [message(40), message(41)], has_more_before: true, rev: 90 });
  assert.deepEqual(seqsOf(room()), [40, 41]);
  assert.equal(hasBefore(room()), true);
});

test('edits and deletions change room and preview; older ones do not', () => {
  const { store, c, room, apply } = setup();
  showNewestPage(store, { items: [message(3), message(4)], has_more_before: true, rev: 20 });
  apply(messageNew(21, 5));
  const edited = (rev, content, seq) => ({
    type: 'message.edited',
    stream: 'conversation',
    rev,
    payload: { conversation_id: 'c', message: { ...message(seq), content } },
  });
  apply(edited(15, 'too old', 4));
  apply(edited(22, 'newer', 4));
  apply(edited(23, 'newest', 5));
  assert.deepEqual(
    room().items.map(({ content }) => content),
    ['text 3', 'newer', 'newest'],
  );
  assert.equal(c().last_message.content, 'newest');
  apply({
    type: 'message.deleted',
    stream: 'conversation',
    rev: 24,
    payload: { conversation_id: 'c', message_id: 'm5', seq: 5 },
  });
  assert.deepEqual(
    [room().items[2].content, Boolean(room().items[2].deleted_at), c().last_message.content],
    ['', true, ''],
  );
});

test('the status only advances, and only on own messages', () => {
  const { store, room, apply } = setup();
  showNewestPage(store, {
    items: [message(1, 'me', { status: 'sent' }), message(2), message(3, 'me', { status: 'sent' })],
    has_more_before: false,
    rev: 10,
  });
  const status = (value, seq) =>
    apply({ type: 'message.status', payload: { conversation_id: 'c', user_id: 'ana', status: value, seq } });
  status('seen', 1);
  status('delivered', 3);
  assert.deepEqual(
    room().items.map((item) => item.status),
    ['seen', undefined, 'delivered'],
  );
});

test('a frame of an unknown type, or about an unknown conversation, changes nothing', () => {
  const { store, apply } = setup();
  const before = JSON.stringify([...store.state.conversations]);
  for (const type of [
    'reaction.updated',
    'notification.new',
    'custom.weather',
    'class.created',
    'toString',
    '__proto__',
    'constructor',
  ])
    apply({ type, payload: { conversation_id: 'c' } });
  apply({ type: 'custom.nothing' });
  for (const type of [
    'message.edited',
    'message.deleted',
    'participant.left',
    'conversation.updated',
    'conversation.settings',
    'conversation.read',
    'message.status',
    'message.hidden',
    'participant.updated',
  ]) {
    apply({
      type,
      stream: 'conversation',
      rev: 99,
      payload: {
        conversation_id: 'unknown',
        message: { id: 'x', conversation_id: 'unknown' },
        message_id: 'x',
        user_id: 'y',
      },
    });
  }
  assert.equal(JSON.stringify([...store.state.conversations]), before);
});

test('the list shows pinned conversations first, then the newest; muted ones do not count', () => {
  const { store } = setup();
  const one = (id, at, more) => ({
    ...store.state.conversations.get('c'),
    id,
    last_message: { created_at: at },
    ...more,
  });
  const conversations = [
    one('old', '2026-01-01T00:00:00.000Z'),
    one('new', '2026-01-03T00:00:00.000Z'),
    one('pinned', '2026-01-02T00:00:00.000Z', { my: { ...my(), pinned: true } }),
    one('archived', '2026-01-04T00:00:00.000Z', { my: { ...my(), archived: true } }),
    one('muted', '2025-01-01T00:00:00.000Z', {
      unread_count: 50,
      my: { ...my(), muted_until: '9999-01-01T00:00:00.000Z' },
    }),
  ];
  setConversations(store, { conversations });
  assert.deepEqual(
    sortedConversations(store.state).map(({ id }) => id),
    ['pinned', 'new', 'old', 'muted'],
  );
  assert.equal(totalUnread(store.state), 4, 'archived conversations count, muted ones do not');
});

test('members join and leave; the count ignores events that the snapshot contains', () => {
  const { store, c, apply } = setup({ type: 'group', name: 'G', peer: null });
  store.state.members.set('c', { items: [], status: 'ready' });
  const joined = (rev) =>
    apply({
      type: 'participant.joined',
      stream: 'conversation',
      rev,
      payload: { conversation_id: 'c', participants: [{ user: ANA, role: 'member' }] },
    });
  joined(10);
  joined(11);
  assert.deepEqual([c().member_count, store.state.members.get('c').items.length], [3, 1]);
  apply({
    type: 'participant.left',
    stream: 'conversation',
    rev: 12,
    payload: { conversation_id: 'c', user_id: 'ana', reason: 'left' },
  });
  assert.deepEqual([c().member_count, store.state.members.get('c').items.length], [2, 0]);
  assert.equal(titleOf(c()), 'G');
});

test('a removed conversation leaves no state', () => {
  const { store, room, apply } = setup();
  room();
  apply({ type: 'conversation.removed', stream: 'user', rev: 1, payload: { conversation_id: 'c' } });
  assert.deepEqual([store.state.conversations.size, store.state.rooms.size], [0, 0]);
});

test('a watcher is called once for many changes', async () => {
  const store = new Store();
  let calls = 0;
  const stop = store.watch(['a', 'b'], () => (calls += 1));
  store.touch('a');
  store.touch('b', 'c');
  await Promise.resolve();
  assert.equal(calls, 1);
  store.touch('c');
  await Promise.resolve();
  stop();
  store.touch('a');
  await Promise.resolve();
  assert.equal(calls, 1);
});

test('system messages are made from their data; for unknown data the text of the server is used', () => {
  const state = { me: { id: 'me' }, people: new Map([['ana', ANA]]) };
  const textOf = (data, content = 'English') => systemText({ data, content }, state);
  assert.equal(textOf({ event: 'group_created', actor_id: 'me', name: 'Garden' }), 'You created “Garden”');
  assert.equal(textOf({ event: 'members_added', actor_id: 'ana', user_ids: ['me'] }), 'Ana added you');
  assert.equal(textOf({ event: 'member_left', actor_id: 'ana' }), 'Ana left');
  assert.equal(textOf({ event: 'member_left', actor_id: 'unknown' }), 'English');
  assert.equal(textOf({ event: 'comet_sighted', actor_id: 'ana' }), 'English');
  assert.equal(textOf(null), 'English');
});
