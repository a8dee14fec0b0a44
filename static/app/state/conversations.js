// The list of conversations.
// Lives here: changes of `conversations` — what is in the list, its previews, counts and marks. May not live here: the
// messages of a room (messages.js) or who is in it (members.js).
//
// Each conversation carries `seen`: the revision that its counts include. An event at or below it changes nothing, so
// that a snapshot and the events around it can overlap without anything being counted twice. It also carries
// `archivedSeq`, the newest message when it was last known to be put away: a later one brings it back, unless it is muted.

import { preview } from '../lib/text.js';
import { met } from './people.js';

export function listLoaded(store, { conversations }) {
  store.state.conversations = new Map();
  store.state.listed = true;
  for (const conversation of conversations) put(store, conversation);
  for (const id of store.state.rooms.keys()) {
    if (!store.state.conversations.has(id)) store.state.rooms.delete(id);
  }
  store.touch('conversations');
}

/** A newer description of one conversation replaces the old one. */
export function conversationLoaded(store, conversation) {
  const known = store.state.conversations.get(conversation.id);
  if (known && known.seen > conversation.last_rev) return;
  put(store, conversation);
  store.touch('conversations', `room:${conversation.id}`);
}

/** The user is in a conversation from now on. One that is already here is at least as new. */
export function conversationGained(store, { conversation }) {
  if (store.state.conversations.has(conversation.id)) return;
  conversationLoaded(store, conversation);
}

export function conversationGone(store, { conversation_id: id }) {
  for (const part of ['conversations', 'rooms', 'members', 'typing', 'outbox', 'pins', 'mentions'])
    store.state[part].delete(id);
  store.touch('conversations', `room:${id}`, `members:${id}`);
}

export function conversationChanged(store, { conversation_id, ...changes }, rev) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || rev <= conversation.seen) return;
  conversation.seen = rev;
  Object.assign(conversation, changes);
  store.touch('conversations', `room:${conversation_id}`);
}

/**
 * The user's own settings of it (muted, pinned, …) changed on some device. Mark and role travel with the conversation's
 * own stream, so what is known of them here stays.
 */
export function settingsChanged(store, { conversation_id, my }) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation) return;
  const { last_read_seq, role } = conversation.my;
  conversation.my = { ...conversation.my, ...my, last_read_seq, role };
  if (my.archived) conversation.archivedSeq = conversation.last_seq;
  if (my.blocked && conversation.peer) {
    store.state.presence.delete(conversation.peer.id);
    conversation.peer = { ...conversation.peer, presence: 'offline', last_seen_at: null };
    store.touch('presence');
  }
  store.touch('conversations', `room:${conversation_id}`);
}

/** A message came, live, replayed, or as the answer to one's own sending. `rev` is null for the last, whose event counts. */
export function messageCounted(store, message, rev) {
  const conversation = store.state.conversations.get(message.conversation_id);
  if (!conversation) return;
  if (message.seq > conversation.last_seq) {
    conversation.last_seq = message.seq;
    conversation.last_message = previewOf(message);
  }
  if (message.sender_id === store.state.me?.id) {
    // Writing in a conversation is reading it.
    readMoved(store, { conversation_id: conversation.id, last_read_seq: message.seq });
  } else if (rev > conversation.seen && message.type !== 'system' && message.seq > conversation.my.last_read_seq) {
    conversation.unread_count += 1;
  }
  conversation.seen = Math.max(conversation.seen, rev ?? 0);
  store.touch('conversations');
}

/** What was said last, for a conversation that came without it. */
export function previewLoaded(store, { id, last_message, members }) {
  const conversation = store.state.conversations.get(id);
  if (!conversation || conversation.last_message || !last_message) return;
  meet(store, members);
  conversation.last_message = last_message;
  store.touch('conversations');
}

/** An edited, deleted or hidden message may be the one in the preview. `changes` may hold all or some of its fields. */
export function previewChanged(store, { conversation_id, id }, changes) {
  const conversation = store.state.conversations.get(conversation_id);
  if (conversation?.last_message?.id !== id) return;
  conversation.last_message = previewOf({ ...conversation.last_message, ...changes });
  store.touch('conversations');
}

/**
 * The user's read mark moved, here or on another device. The count that comes with it may be older than messages that
 * are here already, so what the loaded messages say comes first.
 */
export function readMoved(store, { conversation_id, last_read_seq, unread_count }) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || last_read_seq < conversation.my.last_read_seq) return;
  const counted = countAfter(store, conversation, last_read_seq);
  const fallback = unread_count ?? Math.min(conversation.unread_count, conversation.last_seq - last_read_seq);
  marked(conversation, last_read_seq, counted ?? fallback);
  store.touch('conversations');
}

/**
 * A message was hidden, which is not unread any more. The count follows from the loaded messages where all after the mark
 * are loaded; else the server's word is needed.
 * @returns {boolean} whether the count is known
 */
export function hiddenCounted(store, { conversation_id }) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || conversation.unread_count === 0) return true;
  const counted = countAfter(store, conversation, conversation.my.last_read_seq);
  if (counted === null) return false;
  conversation.unread_count = counted;
  store.touch('conversations');
  return true;
}

/** What the server says is unread, unless something came since. */
export function unreadKnown(store, { id, last_rev, unread_count, my }) {
  const conversation = store.state.conversations.get(id);
  if (!conversation || last_rev < conversation.seen || my.last_read_seq < conversation.my.last_read_seq) return;
  conversation.unread_count = unread_count;
  store.touch('conversations');
}

/** All of the user's marks, as `sync` brings them. */
export function readsKnown(store, reads) {
  for (const [conversation_id, last_read_seq] of Object.entries(reads)) {
    const mark = store.state.conversations.get(conversation_id)?.my.last_read_seq;
    if (mark !== undefined && last_read_seq > mark) readMoved(store, { conversation_id, last_read_seq });
  }
}

/** Conversations as the list shows them: pinned first, then by their newest message; either those put away or the others. */
export function sortedConversations(state, { archived = false } = {}) {
  return [...state.conversations.values()]
    .filter((conversation) => isArchived(conversation) === archived)
    .sort(
      (a, b) =>
        Number(b.my.pinned) - Number(a.my.pinned) || activity(b).localeCompare(activity(a)) || (a.id < b.id ? 1 : -1),
    );
}

/** What a conversation is called for this user. */
export function titleOf(conversation) {
  if (conversation.type !== 'direct') return conversation.name ?? 'Unnamed group';
  return nameOf(conversation.peer) ?? 'Deleted account';
}

export function nameOf(user) {
  return user ? user.display_name || user.username : null;
}

/** Unread messages everywhere, also in what is put away; muted conversations aside. */
export function totalUnread(state) {
  let total = 0;
  for (const conversation of state.conversations.values()) {
    if (!isMuted(conversation)) total += conversation.unread_count;
  }
  return total;
}

export function isMuted({ my }) {
  return my.muted_until !== null && my.muted_until !== undefined && new Date(my.muted_until) > new Date();
}

/** Put away, and nothing was said since, or nobody should be bothered by it. */
export function isArchived(conversation) {
  return conversation.my.archived && (isMuted(conversation) || conversation.last_seq <= conversation.archivedSeq);
}

function put(store, { members, ...conversation }) {
  met(store, [conversation.peer]);
  meet(store, members);
  store.state.conversations.set(conversation.id, {
    ...conversation,
    my: { ...conversation.my },
    seen: conversation.last_rev,
    archivedSeq: conversation.last_seq,
  });
}

function meet(store, members = []) {
  met(
    store,
    members.map(({ user, presence }) => ({ ...user, presence })),
  );
}

function previewOf({ id, seq, sender_id, type, content, data, created_at, deleted_at }) {
  return { id, seq, sender_id, type, content: preview(content), data, created_at, deleted_at };
}

function marked(conversation, seq, unread) {
  if (seq < conversation.my.last_read_seq) return;
  conversation.my.last_read_seq = seq;
  conversation.unread_count = seq >= conversation.last_seq ? 0 : unread;
}

/** Unread messages counted by hand; null unless every message after the mark is loaded. */
function countAfter(store, conversation, mark) {
  const items = store.state.rooms.get(conversation.id)?.items ?? [];
  if (items.length === 0 || items[0].seq > mark + 1 || items.at(-1).seq < conversation.last_seq) return null;
  return items.filter(({ seq, type, sender_id }) => seq > mark && type !== 'system' && sender_id !== store.state.me?.id)
    .length;
}

function activity({ last_message, created_at }) {
  return last_message?.created_at ?? created_at;
}
