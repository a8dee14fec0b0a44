// Events that change a message or a conversation: what each changes, and that a repetition changes nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchMutes } from '../../static/app/lib/mute-end.js';
import {
  recountUnread,
  isArchived,
  sortedConversations,
  totalUnread,
  setUnreadCount,
} from '../../static/app/state/conversations.js';
import { updateMention, unreadMentions } from '../../static/app/state/mentions.js';
import { setPins } from '../../static/app/state/pins.js';
import { showOwnReaction, setReactions } from '../../static/app/state/reactions.js';
import { hasAfter, hasBefore } from '../../static/app/state/message-window.js';
import { setView, showPage } from '../../static/app/state/rooms.js';
import {
  messageNew,
  conversation,
  deleted,
  edited,
  frame,
  message,
  my,
  userEvent,
  setup,
  showNewestPage,
} from './app-support.js';

const HOUR = 3_600_000;
const inAnHour = () => new Date(Date.now() + HOUR).toISOString();
const reaction = (rev, emoji, user_id, action, count) =>
  frame('reaction.updated', rev, { message_id: 'm4', emoji, user_id, action, count });
const seqsOf = (room) => room.items.map(({ seq }) => seq);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
const page = (from, to, more = {}) => ({
  items: range(from, to),
  has_more_before: from > 1,
  has_more_after: true,
  rev: 10,
  ...more,
});

test('an edit changes the text, its quotes and the preview, and keeps what only this user sees', () => {
  const { apply, load, item, c } = setup();
  load(
    message(3, 'me', { status: 'seen', reactions: [{ emoji: '👍', count: 1, me: true }], pinned: true }),
    message(4, 'ana', { reply_to: { id: 'm3', seq: 3, sender_id: 'me', type: 'text', content: 'text 3' } }),
  );
  apply(messageNew(11, 5));
  apply(edited(12, 3, { content: 'other', sender_id: 'me', reactions: [{ emoji: '👍', count: 1 }] }));
  assert.deepEqual(
    [item(3).content, item(3).status, item(3).reactions[0].me, item(3).pinned, item(4).reply_to.content],
    ['other', 'seen', true, true, 'other'],
  );
  assert.ok(item(3).edited_at);
  apply(edited(13, 5, { content: 'newest' }));
  assert.deepEqual([c().last_message.content, c().last_message.seq, c().unread_count], ['newest', 5, 2]);
});

test('an edit that is older than the page changes neither the message nor its quotes', () => {
  const { apply, load, item } = setup();
  const quote = { id: 'm3', seq: 3, sender_id: 'ana', type: 'text', content: 'now' };
  load(message(3, 'ana', { content: 'now' }), message(4, 'me', { reply_to: quote }));
  apply(edited(9, 3, { content: 'before' }));
  assert.deepEqual([item(3).content, item(4).reply_to.content], ['now', 'now']);
});

test('a quote shows at most a hundred characters of an edited text', () => {
  const { apply, load, item } = setup();
  load(message(3), message(4, 'me', { reply_to: { id: 'm3', seq: 3, sender_id: 'ana', type: 'text', content: '' } }));
  apply(edited(11, 3, { content: '😀'.repeat(200) }));
  assert.equal(item(4).reply_to.content, '😀'.repeat(100));
});

test('a message that is deleted for everyone stays in the room without its content', () => {
  const { store, apply, load, item, c } = setup();
  load(
    message(3, 'ana', {
      pinned: true,
      mentions: ['me'],
      attachments: [{ id: 'a' }],
      data: { lat: 1 },
      reactions: [{ emoji: '👍', count: 2, me: false }],
    }),
    message(4, 'me', { reply_to: { id: 'm3', seq: 3, sender_id: 'ana', type: 'text', content: 'text 3' } }),
  );
  setPins(store, 'c', [message(3)]);
  apply(messageNew(11, 5, 'ana', { mentions: ['me'] }));
  apply(deleted(12, 3));
  apply(deleted(13, 5));
  const { content, attachments, data, mentions, reactions, pinned } = item(3);
  assert.deepEqual(
    { content, attachments, data, mentions, reactions, pinned },
    {
      content: '',
      attachments: [],
      data: null,
      mentions: [],
      reactions: [],
      pinned: false,
    },
  );
  assert.ok(item(3).deleted_at);
  assert.deepEqual([item(4).reply_to.content, c().last_message.content], ['', '']);
  assert.deepEqual(store.state.pins.get('c').items, []);
  assert.equal(unreadMentions(store.state, c()), 0);
  assert.ok(!JSON.stringify([...store.state.rooms.values()]).includes('text 3'));
});

test('a hidden message is removed for this user, also from the preview', () => {
  const { store, apply, load, room, c } = setup();
  load(message(3), message(4));
  apply(messageNew(11, 5));
  apply(userEvent('message.hidden', { message_id: 'm5' }));
  assert.deepEqual([seqsOf(room()), c().last_message.content, c().last_seq], [[3, 4], 'text 4', 5]);
  store.state.rooms.delete('c');
  apply(userEvent('message.hidden', { message_id: 'm4' }));
  assert.deepEqual([c().last_message.content, c().last_message.id], ['', 'm4']);
});

test('a hidden message is not unread, and does not mention the user', () => {
  const { store, apply, c, load } = setup({ last_seq: 6, unread_count: 2, my: my(3) });
  load(message(3), message(4, 'ana', { mentions_all: true }), message(5, null, { type: 'system' }), message(6));
  updateMention(store, message(4, 'ana', { mentions_all: true }));
  assert.equal(unreadMentions(store.state, c()), 1);
  const hide = (seq) => {
    apply(userEvent('message.hidden', { message_id: `m${seq}` }));
    return recountUnread(store, { conversation_id: 'c' });
  };
  assert.deepEqual([hide(4), c().unread_count, unreadMentions(store.state, c())], [true, 1, 0]);
  assert.deepEqual([hide(5), c().unread_count], [true, 1], 'a system message is never unread');
  assert.deepEqual([hide(6), c().unread_count], [true, 0], 'also without its newest message the room is complete');
  store.state.rooms.delete('c');
  c().unread_count = 1;
  assert.equal(recountUnread(store, { conversation_id: 'c' }), false, 'without its messages the count is not known');
  setUnreadCount(store, { id: 'c', last_rev: 10, unread_count: 0, my: my(3) });
  assert.deepEqual([recountUnread(store, { conversation_id: 'c' }), c().unread_count], [true, 0]);
  apply(messageNew(11, 7));
  setUnreadCount(store, { id: 'c', last_rev: 10, unread_count: 0, my: my(3) });
  assert.equal(c().unread_count, 1, 'the conversation changed after the answer');
});

test('a message is pinned and unpinned, in its room and in the list of pins', () => {
  const { store, apply, load, item } = setup();
  load(message(3), message(4));
  setPins(store, 'c', [message(1, 'ana', { pinned: true })]);
  const pin = (type, rev, seq) => apply(frame(type, rev, { message_id: `m${seq}`, user_id: 'ana' }));
  pin('message.pinned', 11, 4);
  pin('message.pinned', 11, 4);
  assert.equal(item(4).pinned, true);
  assert.deepEqual(
    store.state.pins.get('c').items.map(({ seq }) => seq),
    [4, 1],
  );
  apply(edited(12, 4, { content: 'other' }));
  assert.equal(store.state.pins.get('c').items[0].content, 'other');
  pin('message.unpinned', 13, 4);
  assert.deepEqual([item(4).pinned, store.state.pins.get('c').items.length], [false, 1]);
  pin('message.pinned', 14, 2);
  assert.equal(store.state.pins.get('c').status, 'stale', 'a message that is not loaded is requested');
});

test('a reaction event sets the count, also if it is repeated; an own reaction is marked', () => {
  const { apply, load, item } = setup();
  load(message(4));
  apply(reaction(11, '👍', 'ana', 'added', 1));
  apply(reaction(11, '👍', 'ana', 'added', 1));
  assert.deepEqual(item(4).reactions, [{ emoji: '👍', count: 1, me: false }]);
  apply(reaction(12, '👍', 'me', 'added', 2));
  apply(reaction(13, '🎉', 'ana', 'added', 1));
  assert.deepEqual(item(4).reactions, [
    { emoji: '👍', count: 2, me: true },
    { emoji: '🎉', count: 1, me: false },
  ]);
  apply(reaction(14, '👍', 'ana', 'removed', 1));
  assert.deepEqual(item(4).reactions[0], { emoji: '👍', count: 1, me: true });
  apply(reaction(15, '👍', 'me', 'removed', 0));
  assert.deepEqual(item(4).reactions, [{ emoji: '🎉', count: 1, me: false }]);
  apply(reaction(9, '💥', 'ana', 'added', 1));
  assert.equal(item(4).reactions.length, 1, 'the page contains older events already');
});

test('an own reaction is shown at once, and corrected by the answer of the server', () => {
  const { store, apply, load, item } = setup();
  load(message(4, 'ana', { reactions: [{ emoji: '👍', count: 1, me: false }] }));
  const react = (on) => showOwnReaction(store, { conversation_id: 'c', message_id: 'm4', emoji: '👍' }, on);
  react(true);
  react(true);
  assert.deepEqual(item(4).reactions, [{ emoji: '👍', count: 2, me: true }]);
  apply(reaction(11, '👍', 'ana', 'removed', 0));
  apply(reaction(12, '👍', 'me', 'added', 1));
  assert.deepEqual(item(4).reactions, [{ emoji: '👍', count: 1, me: true }]);
  react(false);
  assert.deepEqual(item(4).reactions, []);
  setReactions(store, { conversation_id: 'c', id: 'm4', reactions: [{ emoji: '🎉', count: 3, me: true }] });
  assert.deepEqual(item(4).reactions, [{ emoji: '🎉', count: 3, me: true }]);
});

test('an event changes name, picture and description; an old event changes nothing', () => {
  const { apply, c } = setup({ type: 'group', name: 'Before', peer: null });
  const rename = (rev, name) =>
    apply(
      frame('conversation.updated', rev, {
        name,
        description: 'd',
        avatar_url: 'https://x.example/p.png',
        class: null,
      }),
    );
  rename(11, 'After');
  rename(9, 'Long ago');
  assert.deepEqual(
    [c().name, c().description, c().avatar_url, c().countedRev],
    ['After', 'd', 'https://x.example/p.png', 11],
  );
});

test('a role event changes the role of this user or of another', () => {
  const { store, apply, c } = setup({ type: 'group', name: 'G', peer: null });
  store.state.members.set('c', { items: [{ user: { id: 'ana' }, role: 'member' }], status: 'ready' });
  const setRole = (rev, user_id, to) => apply(frame('participant.updated', rev, { user_id, role: to }));
  setRole(11, 'ana', 'owner');
  setRole(12, 'me', 'admin');
  setRole(10, 'me', 'observer');
  assert.deepEqual([store.state.members.get('c').items[0].role, c().my.role], ['owner', 'admin']);
});

test('settings change on another device; read mark and role come from the conversation’s stream', () => {
  const { apply, c } = setup();
  apply(userEvent('conversation.settings', { my: my(0, { role: 'observer', pinned: true, notify: 'none' }) }));
  assert.deepEqual([c().my.pinned, c().my.notify, c().my.role, c().my.last_read_seq], [true, 'none', 'member', 3]);
});

test('a block is part of the settings, and removes the presence', () => {
  const { store, apply, c } = setup();
  store.state.presence.set('ana', { status: 'online', last_seen_at: null });
  apply(userEvent('conversation.settings', { my: my(3, { blocked: true }) }));
  assert.deepEqual([c().my.blocked, store.state.presence.has('ana'), c().peer.presence], [true, false, 'offline']);
});

test('a conversation is archived until a later message, or longer while it is muted', () => {
  const { store, apply, c } = setup();
  const listed = () => sortedConversations(store.state).length;
  apply(userEvent('conversation.settings', { my: my(3, { archived: true }) }));
  assert.deepEqual([isArchived(c()), listed(), totalUnread(store.state)], [true, 0, 1]);
  apply(messageNew(11, 5, null, { type: 'system' }));
  assert.deepEqual([isArchived(c()), listed()], [false, 1]);
  apply(userEvent('conversation.settings', { my: my(3, { archived: true, muted_until: inAnHour() }) }));
  apply(messageNew(12, 6));
  assert.equal(isArchived(c()), true);
  assert.equal(sortedConversations(store.state, { archived: true }).length, 1);
  apply(userEvent('conversation.settings', { my: my(3, { archived: false, muted_until: null }) }));
  assert.equal(isArchived(c()), false);
});

test('when a mute ends, a message that came meanwhile ends the archiving', async () => {
  // A second, so that the mute does not end on a busy machine before the message comes.
  const until = new Date(Date.now() + 1000).toISOString();
  const { store, apply, c } = setup({ my: my(3, { archived: true, muted_until: until }) });
  const ended = new Promise((done) => {
    const stop = watchMutes(store, ({ id }) => {
      stop();
      done(id);
    });
  });
  apply(messageNew(11, 5));
  assert.equal(isArchived(c()), true);
  assert.equal(await ended, 'c');
  assert.equal(isArchived(c()), false);
});

test('mentions are counted after the read mark, and change with edits', () => {
  const { store, apply, load, c } = setup();
  load(message(4));
  apply(messageNew(11, 5, 'ana', { mentions: ['me', 'ben'] }));
  apply(messageNew(12, 6, 'ana', { mentions: ['ben'] }));
  apply(messageNew(13, 7, 'me', { mentions: ['me'], mentions_all: true }));
  assert.equal(unreadMentions(store.state, { id: 'c', my: my(4) }), 1);
  apply(edited(14, 5, { mentions: [] }));
  assert.equal(unreadMentions(store.state, { id: 'c', my: my(4) }), 0);
  updateMention(store, message(6, 'ana', { mentions: ['me'] }));
  assert.equal(unreadMentions(store.state, { id: 'c', my: my(4) }), 1);
  assert.equal(unreadMentions(store.state, c()), 0, 'a user who writes has read everything');
});

test('a page around an old message is joined if it touches the room', () => {
  const { store, load, room } = setup();
  load(...range(21, 25));
  showPage(store, 'c', page(11, 20), { around: 15 }, 25);
  assert.deepEqual([seqsOf(room())[0], room().items.length, hasAfter(room())], [11, 15, false]);
  showPage(store, 'c', page(1, 15), { around: 5 }, 25);
  assert.deepEqual([room().items.length, hasBefore(room())], [25, false]);
});

test('after a jump to an old message the newest page replaces the room', () => {
  const { store, load, room, apply } = setup({ last_seq: 60 });
  load(...range(51, 60));
  showPage(store, 'c', page(1, 10), { around: 5 }, 60);
  assert.deepEqual([seqsOf(room()).at(-1), hasAfter(room())], [10, true]);
  apply(messageNew(11, 61));
  assert.equal(seqsOf(room()).at(-1), 10);
  showNewestPage(store, page(41, 60, { has_more_after: false }));
  assert.deepEqual([seqsOf(room())[0], seqsOf(room()).at(-1), hasAfter(room())], [41, 61, false]);
});

test('a late page for another part of the room is ignored', () => {
  const { store, load, room } = setup({ last_seq: 100 });
  load(...range(91, 100));
  showPage(store, 'c', page(41, 50), { around: 45 }, 100);
  showNewestPage(store, page(91, 100, { has_more_after: false }));
  showPage(store, 'c', page(31, 40), { before: 41 }, 100);
  assert.deepEqual([seqsOf(room())[0], hasBefore(room()), room().olderStatus], [91, true, 'idle']);
  showPage(store, 'c', page(41, 50), { around: 45 }, 100);
  showPage(store, 'c', page(81, 90), { after: 80 }, 100);
  assert.deepEqual([seqsOf(room()).at(-1), hasAfter(room()), room().newerStatus], [50, true, 'idle']);
});

test('in an open room live messages are bounded, and those that the user reads stay', () => {
  const { store, load, room, apply } = setup({ last_seq: 100 });
  load(...range(51, 100));
  for (let seq = 101; seq <= 600; seq += 1) apply(messageNew(seq, seq));
  assert.deepEqual([room().items.length, seqsOf(room()).at(-1)], [200, 600]);
  setView(store, 'c', { first: 410, last: 420 }, false);
  for (let seq = 601; seq <= 900; seq += 1) apply(messageNew(seq, seq));
  assert.deepEqual([room().items.length, seqsOf(room())[0], hasAfter(room())], [200, 401, true]);
});

test('a replay of old events after a newer snapshot changes nothing', () => {
  const snapshot = conversation({ type: 'group', name: 'Now', peer: null, last_rev: 20, last_seq: 4, unread_count: 0 });
  const { apply, load, c, room } = setup(snapshot);
  load(message(4, 'ana', { content: 'now', reactions: [{ emoji: '👍', count: 2, me: true }] }));
  room().items[0].shownRev = 20;
  const before = JSON.stringify([c(), room().items]);
  apply(messageNew(11, 4));
  apply(edited(12, 4, { content: 'before' }));
  apply(reaction(13, '👍', 'me', 'removed', 0));
  apply(frame('message.pinned', 14, { message_id: 'm4', user_id: 'ana' }));
  apply(frame('conversation.updated', 15, { name: 'Before', description: null, avatar_url: null, class: null }));
  apply(frame('participant.updated', 16, { user_id: 'me', role: 'observer' }));
  assert.equal(JSON.stringify([c(), room().items]), before);
});
