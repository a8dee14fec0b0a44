// Every event that changes a message or the user's view of a conversation: what it changes, and that it changes it once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchMutes } from '../../static/app/lib/expiry.js';
import { hiddenCounted, isArchived, sortedConversations, totalUnread, unreadKnown } from '../../static/app/state/conversations.js';
import { mentionNoted, unreadMentions } from '../../static/app/state/mentions.js';
import { pinsLoaded } from '../../static/app/state/pins.js';
import { reactionWished, reactionsLoaded } from '../../static/app/state/reactions.js';
import { newerLoaded, newestLoaded, olderLoaded, windowLoaded } from '../../static/app/state/rooms.js';
import { came, conversation, deleted, edited, frame, message, my, own, setup } from './app-support.js';

const HOUR = 3_600_000;
const inAnHour = () => new Date(Date.now() + HOUR).toISOString();
const reaction = (rev, emoji, user_id, action, count) =>
  frame('reaction.updated', rev, { message_id: 'm4', emoji, user_id, action, count });
const seqs = (room) => room.items.map(({ seq }) => seq);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
const page = (from, to, more = {}) => ({
  items: range(from, to),
  has_more_before: from > 1,
  has_more_after: true,
  rev: 10,
  ...more,
});

test('an edit changes the text, the quotes of it and the preview, and leaves what only this user sees', () => {
  const { say, load, item, c } = setup();
  load(
    message(3, 'me', { status: 'seen', reactions: [{ emoji: '👍', count: 1, me: true }], pinned: true }),
    message(4, 'ana', { reply_to: { id: 'm3', seq: 3, sender_id: 'me', type: 'text', content: 'text 3' } }),
  );
  say(came(11, 5));
  say(edited(12, 3, { content: 'other', sender_id: 'me', reactions: [{ emoji: '👍', count: 1 }] }));
  assert.deepEqual(
    [item(3).content, item(3).status, item(3).reactions[0].me, item(3).pinned, item(4).reply_to.content],
    ['other', 'seen', true, true, 'other'],
  );
  assert.ok(item(3).edited_at);
  say(edited(13, 5, { content: 'newest' }));
  assert.deepEqual([c().last_message.content, c().last_message.seq, c().unread_count], ['newest', 5, 2]);
});

test('an edit from before the page was read changes neither the message nor the quotes of it', () => {
  const { say, load, item } = setup();
  const quote = { id: 'm3', seq: 3, sender_id: 'ana', type: 'text', content: 'now' };
  load(message(3, 'ana', { content: 'now' }), message(4, 'me', { reply_to: quote }));
  say(edited(9, 3, { content: 'before' }));
  assert.deepEqual([item(3).content, item(4).reply_to.content], ['now', 'now']);
});

test('a quote shows at most a hundred characters of what was edited', () => {
  const { say, load, item } = setup();
  load(message(3), message(4, 'me', { reply_to: { id: 'm3', seq: 3, sender_id: 'ana', type: 'text', content: '' } }));
  say(edited(11, 3, { content: '😀'.repeat(200) }));
  assert.equal(item(4).reply_to.content, '😀'.repeat(100));
});

test('what is deleted for everyone leaves its place and nothing else', () => {
  const { store, say, load, item, c } = setup();
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
  pinsLoaded(store, 'c', [message(3)]);
  say(came(11, 5, 'ana', { mentions: ['me'] }));
  say(deleted(12, 3));
  say(deleted(13, 5));
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

test('what is hidden is gone for this user, from the preview too', () => {
  const { store, say, load, room, c } = setup();
  load(message(3), message(4));
  say(came(11, 5));
  say(own('message.hidden', { message_id: 'm5' }));
  assert.deepEqual([seqs(room()), c().last_message.content, c().last_seq], [[3, 4], 'text 4', 5]);
  store.state.rooms.delete('c');
  say(own('message.hidden', { message_id: 'm4' }));
  assert.deepEqual([c().last_message.content, c().last_message.id], ['', 'm4']);
});

test('what is hidden is not unread, and calls nobody', () => {
  const { store, say, c, load } = setup({ last_seq: 6, unread_count: 2, my: my(3) });
  load(message(3), message(4, 'ana', { mentions_all: true }), message(5, null, { type: 'system' }), message(6));
  mentionNoted(store, message(4, 'ana', { mentions_all: true }));
  assert.equal(unreadMentions(store.state, c()), 1);
  const hide = (seq) => {
    say(own('message.hidden', { message_id: `m${seq}` }));
    return hiddenCounted(store, { conversation_id: 'c' });
  };
  assert.deepEqual([hide(4), c().unread_count, unreadMentions(store.state, c())], [true, 1, 0]);
  assert.deepEqual([hide(5), c().unread_count], [true, 1], 'a system message never counted');
  assert.deepEqual([hide(6), c().unread_count], [false, 1], 'the newest is not there to tell that all is loaded');
  unreadKnown(store, { id: 'c', last_rev: 10, unread_count: 0, my: my(3) });
  assert.deepEqual([hiddenCounted(store, { conversation_id: 'c' }), c().unread_count], [true, 0]);
  say(came(11, 7));
  unreadKnown(store, { id: 'c', last_rev: 10, unread_count: 0, my: my(3) });
  assert.equal(c().unread_count, 1, 'what came since is newer than the answer');
});

test('a message is pinned and unpinned, in its room and in the list of the pinned', () => {
  const { store, say, load, item } = setup();
  load(message(3), message(4));
  pinsLoaded(store, 'c', [message(1, 'ana', { pinned: true })]);
  const pin = (type, rev, seq) => say(frame(type, rev, { message_id: `m${seq}`, user_id: 'ana' }));
  pin('message.pinned', 11, 4);
  pin('message.pinned', 11, 4);
  assert.equal(item(4).pinned, true);
  assert.deepEqual(
    store.state.pins.get('c').items.map(({ seq }) => seq),
    [4, 1],
  );
  say(edited(12, 4, { content: 'other' }));
  assert.equal(store.state.pins.get('c').items[0].content, 'other');
  pin('message.unpinned', 13, 4);
  assert.deepEqual([item(4).pinned, store.state.pins.get('c').items.length], [false, 1]);
  pin('message.pinned', 14, 2);
  assert.equal(store.state.pins.get('c').status, 'stale', 'what is not loaded is asked for');
});

test('a reaction is counted by what the event says, however often it comes; one’s own is marked', () => {
  const { say, load, item } = setup();
  load(message(4));
  say(reaction(11, '👍', 'ana', 'added', 1));
  say(reaction(11, '👍', 'ana', 'added', 1));
  assert.deepEqual(item(4).reactions, [{ emoji: '👍', count: 1, me: false }]);
  say(reaction(12, '👍', 'me', 'added', 2));
  say(reaction(13, '🎉', 'ana', 'added', 1));
  assert.deepEqual(item(4).reactions, [
    { emoji: '👍', count: 2, me: true },
    { emoji: '🎉', count: 1, me: false },
  ]);
  say(reaction(14, '👍', 'ana', 'removed', 1));
  assert.deepEqual(item(4).reactions[0], { emoji: '👍', count: 1, me: true });
  say(reaction(15, '👍', 'me', 'removed', 0));
  assert.deepEqual(item(4).reactions, [{ emoji: '🎉', count: 1, me: false }]);
  say(reaction(9, '💥', 'ana', 'added', 1));
  assert.equal(item(4).reactions.length, 1, 'an old one is in the page already');
});

test('a wished reaction shows at once, and the server’s word puts it right', () => {
  const { store, say, load, item } = setup();
  load(message(4, 'ana', { reactions: [{ emoji: '👍', count: 1, me: false }] }));
  const wish = (on) => reactionWished(store, { conversation_id: 'c', message_id: 'm4', emoji: '👍' }, on);
  wish(true);
  wish(true);
  assert.deepEqual(item(4).reactions, [{ emoji: '👍', count: 2, me: true }]);
  say(reaction(11, '👍', 'ana', 'removed', 0));
  say(reaction(12, '👍', 'me', 'added', 1));
  assert.deepEqual(item(4).reactions, [{ emoji: '👍', count: 1, me: true }]);
  wish(false);
  assert.deepEqual(item(4).reactions, []);
  reactionsLoaded(store, { conversation_id: 'c', id: 'm4', reactions: [{ emoji: '🎉', count: 3, me: true }] });
  assert.deepEqual(item(4).reactions, [{ emoji: '🎉', count: 3, me: true }]);
});

test('a conversation gets another name, picture and description; an old word of it does nothing', () => {
  const { say, c } = setup({ type: 'group', name: 'Before', peer: null });
  const renamed = (rev, name) =>
    say(
      frame('conversation.updated', rev, {
        name,
        description: 'd',
        avatar_url: 'https://x.example/p.png',
        class: null,
      }),
    );
  renamed(11, 'After');
  renamed(9, 'Long ago');
  assert.deepEqual(
    [c().name, c().description, c().avatar_url, c().seen],
    ['After', 'd', 'https://x.example/p.png', 11],
  );
});

test('a new role is this user’s own or another’s', () => {
  const { store, say, c } = setup({ type: 'group', name: 'G', peer: null });
  store.state.members.set('c', { items: [{ user: { id: 'ana' }, role: 'member' }], status: 'ready' });
  const role = (rev, user_id, to) => say(frame('participant.updated', rev, { user_id, role: to }));
  role(11, 'ana', 'owner');
  role(12, 'me', 'admin');
  role(10, 'me', 'observer');
  assert.deepEqual([store.state.members.get('c').items[0].role, c().my.role], ['owner', 'admin']);
});

test('settings change on another device; mark and role stay with the conversation’s own stream', () => {
  const { say, c } = setup();
  say(own('conversation.settings', { my: my(0, { role: 'observer', pinned: true, notify: 'none' }) }));
  assert.deepEqual([c().my.pinned, c().my.notify, c().my.role, c().my.last_read_seq], [true, 'none', 'member', 3]);
});

test('a block is in the settings, and takes presence away', () => {
  const { store, say, c } = setup();
  store.state.presence.set('ana', { status: 'online', last_seen_at: null });
  say(own('conversation.settings', { my: my(3, { blocked: true }) }));
  assert.deepEqual([c().my.blocked, store.state.presence.has('ana'), c().peer.presence], [true, false, 'offline']);
});

test('archived holds until a later message, and longer while it is muted', () => {
  const { store, say, c } = setup();
  const listed = () => sortedConversations(store.state).length;
  say(own('conversation.settings', { my: my(3, { archived: true }) }));
  assert.deepEqual([isArchived(c()), listed(), totalUnread(store.state)], [true, 0, 1]);
  say(came(11, 5, null, { type: 'system' }));
  assert.deepEqual([isArchived(c()), listed()], [false, 1]);
  say(own('conversation.settings', { my: my(3, { archived: true, muted_until: inAnHour() }) }));
  say(came(12, 6));
  assert.equal(isArchived(c()), true);
  assert.equal(sortedConversations(store.state, { archived: true }).length, 1);
  say(own('conversation.settings', { my: my(3, { archived: false, muted_until: null }) }));
  assert.equal(isArchived(c()), false);
});

test('when a mute ends, what came meanwhile brings the conversation back', async () => {
  const until = new Date(Date.now() + 20).toISOString();
  const { store, say, c } = setup({ my: my(3, { archived: true, muted_until: until }) });
  const ended = new Promise((done) => {
    const stop = watchMutes(store, ({ id }) => {
      stop();
      done(id);
    });
  });
  say(came(11, 5));
  assert.equal(isArchived(c()), true);
  assert.equal(await ended, 'c');
  assert.equal(isArchived(c()), false);
});

test('mentions are counted after the mark, and follow edits', () => {
  const { store, say, load, c } = setup();
  load(message(4));
  say(came(11, 5, 'ana', { mentions: ['me', 'ben'] }));
  say(came(12, 6, 'ana', { mentions: ['ben'] }));
  say(came(13, 7, 'me', { mentions: ['me'], mentions_all: true }));
  assert.equal(unreadMentions(store.state, { id: 'c', my: my(4) }), 1);
  say(edited(14, 5, { mentions: [] }));
  assert.equal(unreadMentions(store.state, { id: 'c', my: my(4) }), 0);
  mentionNoted(store, message(6, 'ana', { mentions: ['me'] }));
  assert.equal(unreadMentions(store.state, { id: 'c', my: my(4) }), 1);
  assert.equal(unreadMentions(store.state, c()), 0, 'writing was reading');
});

test('a page around an old message joins what it meets', () => {
  const { store, load, room } = setup();
  load(...range(21, 25));
  windowLoaded(store, 'c', page(11, 20));
  assert.deepEqual([seqs(room())[0], room().items.length, room().hasAfter], [11, 15, false]);
  windowLoaded(store, 'c', page(1, 15));
  assert.deepEqual([room().items.length, room().hasBefore], [25, false]);
});

test('far from the newest, live messages wait below and none is missing in the end', () => {
  const { store, load, room, say } = setup({ last_seq: 60, last_rev: 10 });
  load(...range(51, 60));
  windowLoaded(store, 'c', page(1, 10));
  assert.deepEqual([seqs(room()).at(-1), room().hasAfter], [10, true]);
  say(came(11, 61));
  assert.equal(seqs(room()).at(-1), 10);
  room().missed = false;
  say(came(12, 62));
  newerLoaded(store, 'c', page(11, 61, { has_more_after: false }), 10);
  assert.equal(room().hasAfter, true, '62 came while the page was on its way');
  newerLoaded(store, 'c', page(62, 62, { has_more_after: false }), 61);
  assert.deepEqual([seqs(room()).length, room().hasAfter], [62, false]);
  say(came(13, 63));
  assert.equal(seqs(room()).at(-1), 63);
});

test('back from the past, the newest page replaces everything', () => {
  const { store, load, room } = setup({ last_seq: 60 });
  load(...range(51, 60));
  windowLoaded(store, 'c', page(1, 10));
  newestLoaded(store, 'c', page(41, 60, { has_more_after: false }));
  assert.deepEqual([seqs(room())[0], room().items.length, room().hasAfter], [41, 20, false]);
});

test('a page that was asked for elsewhere leaves no hole', () => {
  const { store, load, room } = setup({ last_seq: 100 });
  load(...range(91, 100));
  windowLoaded(store, 'c', page(41, 50));
  newestLoaded(store, 'c', page(91, 100, { has_more_after: false }));
  olderLoaded(store, 'c', page(31, 40), 41);
  assert.deepEqual([seqs(room())[0], room().hasBefore, room().older], [91, true, 'idle']);
  windowLoaded(store, 'c', page(41, 50));
  newerLoaded(store, 'c', page(81, 90), 80);
  assert.deepEqual([seqs(room()).at(-1), room().hasAfter, room().newer], [50, true, 'idle']);
});

test('whoever scrolls on and on keeps a bounded run around them', () => {
  const { store, load, room } = setup({ last_seq: 1000 });
  load(...range(951, 1000));
  for (let first = 901; first >= 1; first -= 50) olderLoaded(store, 'c', page(first, first + 49), first + 50);
  assert.deepEqual([seqs(room())[0], seqs(room()).at(-1), room().hasBefore], [1, 500, false]);
  assert.equal(room().hasAfter, true);
  for (let first = 501; first <= 951; first += 50)
    newerLoaded(store, 'c', page(first, first + 49, { has_more_after: first < 951 }), first - 1);
  assert.deepEqual([seqs(room())[0], seqs(room()).at(-1)], [501, 1000]);
  assert.deepEqual([room().hasBefore, room().hasAfter], [true, false]);
});

test('a whole replay over a newer snapshot changes nothing', () => {
  const snapshot = conversation({ type: 'group', name: 'Now', peer: null, last_rev: 20, last_seq: 4, unread_count: 0 });
  const { say, load, c, room } = setup(snapshot);
  load(message(4, 'ana', { content: 'now', reactions: [{ emoji: '👍', count: 2, me: true }] }));
  room().items[0].asOf = 20;
  const before = JSON.stringify([c(), room().items]);
  say(came(11, 4));
  say(edited(12, 4, { content: 'before' }));
  say(reaction(13, '👍', 'me', 'removed', 0));
  say(frame('message.pinned', 14, { message_id: 'm4', user_id: 'ana' }));
  say(frame('conversation.updated', 15, { name: 'Before', description: null, avatar_url: null, class: null }));
  say(frame('participant.updated', 16, { user_id: 'me', role: 'observer' }));
  assert.equal(JSON.stringify([c(), room().items]), before);
});
