// Events into state: overlaps count once, unknown frames do nothing, rooms stay unbroken.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageArrived } from '../../static/app/dispatch.js';
import {
  listLoaded,
  readMoved,
  readsKnown,
  sortedConversations,
  titleOf,
  totalUnread,
} from '../../static/app/state/conversations.js';
import { newestLoaded, olderLoaded, roomOf } from '../../static/app/state/rooms.js';
import { Store } from '../../static/app/store.js';
import { systemText } from '../../static/app/views/words.js';
import { ANA, came, message, my, setup } from './app-support.js';

const seqs = (room) => room.items.map(({ seq }) => seq);

test('a new message counts, moves the preview, and is counted once however often it comes', () => {
  const { c, say } = setup();
  say(came(11, 5));
  say(came(11, 5));
  assert.deepEqual([c().unread_count, c().last_seq, c().last_message.content], [2, 5, 'text 5']);
});

test('an event that the snapshot already contains is not counted', () => {
  const { c, say } = setup();
  say(came(10, 4));
  assert.equal(c().unread_count, 1);
});

test('system messages and one’s own do not count; writing is reading', () => {
  const { c, say } = setup();
  say(came(11, 5, null, { type: 'system' }));
  assert.equal(c().unread_count, 1);
  say(came(12, 6, 'me'));
  assert.deepEqual([c().unread_count, c().my.last_read_seq], [0, 6]);
});

test('an old message of one’s own, answered late, hides nothing that came after it', () => {
  const { store, c, room, say } = setup({ unread_count: 0, my: my(4) });
  newestLoaded(store, 'c', { items: [message(3), message(4)], has_more_before: true, rev: 10 });
  say(came(11, 5, 'me'));
  say(came(12, 6));
  messageArrived(store, message(5, 'me'), null);
  assert.deepEqual([c().unread_count, c().last_seq, seqs(room())], [1, 6, [3, 4, 5, 6]]);
});

test('the answer to a sending may overtake the event of the message before it', () => {
  const { store, room, say } = setup();
  newestLoaded(store, 'c', { items: [message(4)], has_more_before: true, rev: 10 });
  messageArrived(store, message(6, 'me'), null);
  say(came(11, 5));
  say(came(12, 6, 'me'));
  assert.deepEqual(seqs(room()), [4, 5, 6]);
});

test('a mark from another device brings the count down, but not below what is known here', () => {
  const { store, c, say } = setup({ last_seq: 0, unread_count: 0, my: my(0), last_rev: 0 });
  newestLoaded(store, 'c', { items: [], has_more_before: false, rev: 0 });
  for (const seq of [1, 2, 3]) say(came(seq, seq));
  readMoved(store, { conversation_id: 'c', last_read_seq: 2, unread_count: 0 });
  assert.equal(c().unread_count, 1);
  say({ type: 'conversation.read', payload: { conversation_id: 'c', last_read_seq: 1, unread_count: 2 } });
  assert.deepEqual([c().my.last_read_seq, c().unread_count], [2, 1]);
  readsKnown(store, { c: 3, unknown: 9 });
  assert.equal(c().unread_count, 0);
});

test('pages join without repeats, and live messages that came meanwhile stay', () => {
  const { store, room, say } = setup();
  roomOf(store.state, 'c').status = 'loading';
  say(came(11, 5));
  newestLoaded(store, 'c', { items: [message(3), message(4)], has_more_before: true, rev: 10 });
  olderLoaded(store, 'c', { items: [message(1), message(2)], has_more_before: false, rev: 11 }, 3);
  assert.deepEqual(seqs(room()), [1, 2, 3, 4, 5]);
});

test('a page whose end does not meet what is here replaces it', () => {
  const { store, room } = setup();
  newestLoaded(store, 'c', { items: [message(1), message(2)], has_more_before: false, rev: 5 });
  newestLoaded(store, 'c', { items: [message(40), message(41)], has_more_before: true, rev: 90 });
  assert.deepEqual(seqs(room()), [40, 41]);
  assert.equal(room().hasBefore, true);
});

test('edits and deletions change room and preview; those older than what is shown do not', () => {
  const { store, c, room, say } = setup();
  newestLoaded(store, 'c', { items: [message(3), message(4)], has_more_before: true, rev: 20 });
  say(came(21, 5));
  const edited = (rev, content, seq) => ({
    type: 'message.edited',
    stream: 'conversation',
    rev,
    payload: { conversation_id: 'c', message: { ...message(seq), content } },
  });
  say(edited(15, 'too old', 4));
  say(edited(22, 'newer', 4));
  say(edited(23, 'newest', 5));
  assert.deepEqual(
    room().items.map(({ content }) => content),
    ['text 3', 'newer', 'newest'],
  );
  assert.equal(c().last_message.content, 'newest');
  say({
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

test('status only goes forward, and only on one’s own', () => {
  const { store, room, say } = setup();
  newestLoaded(store, 'c', {
    items: [message(1, 'me', { status: 'sent' }), message(2), message(3, 'me', { status: 'sent' })],
    has_more_before: false,
    rev: 10,
  });
  const status = (value, seq) =>
    say({ type: 'message.status', payload: { conversation_id: 'c', user_id: 'ana', status: value, seq } });
  status('seen', 1);
  status('delivered', 3);
  assert.deepEqual(
    room().items.map((item) => item.status),
    ['seen', undefined, 'delivered'],
  );
});

test('a frame of a type nobody here knows, or about something unknown, does nothing', () => {
  const { store, say } = setup();
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
    say({ type, payload: { conversation_id: 'c' } });
  say({ type: 'custom.nothing' });
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
    say({
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

test('the list: pinned first, then the newest; muted ones do not count', () => {
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
  listLoaded(store, { conversations });
  assert.deepEqual(
    sortedConversations(store.state).map(({ id }) => id),
    ['pinned', 'new', 'old', 'muted'],
  );
  assert.equal(totalUnread(store.state), 4, 'what is put away counts, what is muted does not');
});

test('members come and go, in the count only when the snapshot did not have them', () => {
  const { store, c, say } = setup({ type: 'group', name: 'G', peer: null });
  store.state.members.set('c', { items: [], status: 'ready' });
  const joined = (rev) =>
    say({
      type: 'participant.joined',
      stream: 'conversation',
      rev,
      payload: { conversation_id: 'c', participants: [{ user: ANA, role: 'member' }] },
    });
  joined(10);
  joined(11);
  assert.deepEqual([c().member_count, store.state.members.get('c').items.length], [3, 1]);
  say({
    type: 'participant.left',
    stream: 'conversation',
    rev: 12,
    payload: { conversation_id: 'c', user_id: 'ana', reason: 'left' },
  });
  assert.deepEqual([c().member_count, store.state.members.get('c').items.length], [2, 0]);
  assert.equal(titleOf(c()), 'G');
});

test('a conversation that is no more leaves nothing behind', () => {
  const { store, room, say } = setup();
  room();
  say({ type: 'conversation.removed', stream: 'user', rev: 1, payload: { conversation_id: 'c' } });
  assert.deepEqual([store.state.conversations.size, store.state.rooms.size], [0, 0]);
});

test('watchers hear of many changes once', async () => {
  const store = new Store();
  let heard = 0;
  const stop = store.watch(['a', 'b'], () => (heard += 1));
  store.touch('a');
  store.touch('b', 'c');
  await Promise.resolve();
  assert.equal(heard, 1);
  store.touch('c');
  await Promise.resolve();
  stop();
  store.touch('a');
  await Promise.resolve();
  assert.equal(heard, 1);
});

test('system messages are told from their data; what is unknown is told in the server’s words', () => {
  const state = { me: { id: 'me' }, people: new Map([['ana', ANA]]) };
  const told = (data, content = 'English') => systemText({ data, content }, state);
  assert.equal(told({ event: 'group_created', actor_id: 'me', name: 'Garden' }), 'You created “Garden”');
  assert.equal(told({ event: 'members_added', actor_id: 'ana', user_ids: ['me'] }), 'Ana added you');
  assert.equal(told({ event: 'member_left', actor_id: 'ana' }), 'Ana left');
  assert.equal(told({ event: 'member_left', actor_id: 'stranger' }), 'English');
  assert.equal(told({ event: 'comet_sighted', actor_id: 'ana' }), 'English');
  assert.equal(told(null), 'English');
});
