// The list of conversations.
// This file contains changes of `conversations`: which are in the list, their previews, counts and marks. It must not
// contain the messages of a room (messages.js) or its members (members.js).
//
// Each conversation has `countedRev`: the revision that its counts include. An event at or below it changes nothing, so
// that a snapshot and the events around it can overlap and nothing is counted twice. It also has `archivedSeq`: the
// newest message when the conversation was last known to be archived. A later message ends that, unless it is muted.

import { preview } from '../lib/text.js';
import { covers } from './message-window.js';
import { rememberUsers } from './people.js';

/** Replaces the whole list, and drops the rooms of conversations that are not in it. */
export function setConversations(store, { conversations }) {
  store.state.conversations = new Map();
  store.state.isListLoaded = true;
  for (const conversation of conversations) storeConversation(store, conversation);
  for (const id of store.state.rooms.keys()) {
    if (!store.state.conversations.has(id)) store.state.rooms.delete(id);
  }
  store.touch('conversations');
}

/** Replaces one conversation, unless the known one is newer. */
export function putConversation(store, conversation) {
  const old = store.state.conversations.get(conversation.id);
  if (old && old.countedRev > conversation.last_rev) return;
  storeConversation(store, conversation);
  store.touch('conversations', `room:${conversation.id}`);
}

/** Adds a conversation that the user is in from now on. A known one is at least as new, and stays. */
export function addConversation(store, { conversation }) {
  if (store.state.conversations.has(conversation.id)) return;
  putConversation(store, conversation);
}

/** Removes a conversation and everything that belongs to it. */
export function removeConversation(store, { conversation_id: id }) {
  for (const part of ['conversations', 'rooms', 'members', 'typing', 'outbox', 'pins', 'mentions'])
    store.state[part].delete(id);
  store.touch('conversations', `room:${id}`, `members:${id}`);
}

/** Changes fields of a conversation, as an event describes them. */
export function changeConversation(store, { conversation_id, ...changes }, rev) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || rev <= conversation.countedRev) return;
  conversation.countedRev = rev;
  Object.assign(conversation, changes);
  store.touch('conversations', `room:${conversation_id}`);
}

/**
 * Updates the user's own settings of a conversation (muted, pinned and so on), which changed on some device. The read
 * mark and the role come on the conversation's own stream, so the known ones stay.
 */
export function updateSettings(store, { conversation_id, my }) {
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

/**
 * Counts a message, from an event or from the answer to the user's own send. For the answer `rev` is null: only its
 * event counts.
 */
export function countMessage(store, message, rev) {
  const conversation = store.state.conversations.get(message.conversation_id);
  if (!conversation) return;
  if (message.seq > conversation.last_seq) {
    conversation.last_seq = message.seq;
    conversation.last_message = previewOf(message);
  }
  if (message.sender_id === store.state.me?.id) {
    // A user who writes in a conversation has read it.
    moveReadMark(store, { conversation_id: conversation.id, last_read_seq: message.seq });
  } else if (
    rev > conversation.countedRev &&
    message.type !== 'system' &&
    message.seq > conversation.my.last_read_seq
  ) {
    conversation.unread_count += 1;
  }
  conversation.countedRev = Math.max(conversation.countedRev, rev ?? 0);
  store.touch('conversations');
}

/** Sets the newest message of a conversation that came without one. */
export function setPreview(store, { id, last_message, members }) {
  const conversation = store.state.conversations.get(id);
  if (!conversation || conversation.last_message || !last_message) return;
  rememberMembers(store, members);
  conversation.last_message = last_message;
  store.touch('conversations');
}

/** Updates the preview if it shows this message. `changes` contains some or all fields of the message. */
export function updatePreview(store, { conversation_id, id }, changes) {
  const conversation = store.state.conversations.get(conversation_id);
  if (conversation?.last_message?.id !== id) return;
  conversation.last_message = previewOf({ ...conversation.last_message, ...changes });
  store.touch('conversations');
}

/**
 * Moves the user's read mark, which moved here or on another device. The unread count in the event may be older than
 * messages that are here already, so a count of the loaded messages is preferred.
 */
export function moveReadMark(store, { conversation_id, last_read_seq, unread_count }) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || last_read_seq < conversation.my.last_read_seq) return;
  const count = countBetween(store, conversation, last_read_seq, conversation.last_seq);
  setReadMark(conversation, last_read_seq, count ?? unread_count ?? countLeft(store, conversation, last_read_seq));
  store.touch('conversations');
}

/**
 * Counts the unread messages again after one was hidden, from the loaded messages. If not all messages after the read
 * mark are loaded, the server must be asked.
 * @returns {boolean} whether the count is known
 */
export function recountUnread(store, { conversation_id }) {
  const conversation = store.state.conversations.get(conversation_id);
  if (!conversation || conversation.unread_count === 0) return true;
  const count = countBetween(store, conversation, conversation.my.last_read_seq, conversation.last_seq);
  if (count === null) return false;
  conversation.unread_count = count;
  store.touch('conversations');
  return true;
}

/** Sets the unread count that the server answered, unless the conversation changed since. */
export function setUnreadCount(store, { id, last_rev, unread_count, my }) {
  const conversation = store.state.conversations.get(id);
  if (!conversation || last_rev < conversation.countedRev || my.last_read_seq < conversation.my.last_read_seq) return;
  conversation.unread_count = unread_count;
  store.touch('conversations');
}

/** Moves all read marks of the user, as `sync` answers them. */
export function moveReadMarks(store, reads) {
  for (const [conversation_id, last_read_seq] of Object.entries(reads)) {
    const mark = store.state.conversations.get(conversation_id)?.my.last_read_seq;
    if (mark !== undefined && last_read_seq > mark) moveReadMark(store, { conversation_id, last_read_seq });
  }
}

/** Returns the archived conversations, or all others: pinned ones first, then by the time of their newest message. */
export function sortedConversations(state, { archived = false } = {}) {
  return [...state.conversations.values()]
    .filter((conversation) => isArchived(conversation) === archived)
    .sort(
      (a, b) =>
        Number(b.my.pinned) - Number(a.my.pinned) || activity(b).localeCompare(activity(a)) || (a.id < b.id ? 1 : -1),
    );
}

/** Returns the title of a conversation for this user. */
export function titleOf(conversation) {
  if (conversation.type !== 'direct') return conversation.name ?? 'Unnamed group';
  return nameOf(conversation.peer) ?? 'Deleted account';
}

/** Returns the display name or the username; null for an unknown user. */
export function nameOf(user) {
  return user ? user.display_name || user.username : null;
}

/** Returns the number of unread messages in all conversations, also archived ones, but not in muted ones. */
export function totalUnread(state) {
  let total = 0;
  for (const conversation of state.conversations.values()) {
    if (!isMuted(conversation)) total += conversation.unread_count;
  }
  return total;
}

/** Whether the conversation is muted at this moment. */
export function isMuted({ my }) {
  return my.muted_until !== null && my.muted_until !== undefined && new Date(my.muted_until) > new Date();
}

/** Whether the conversation is archived, and either has no later message or is muted. */
export function isArchived(conversation) {
  return conversation.my.archived && (isMuted(conversation) || conversation.last_seq <= conversation.archivedSeq);
}

function storeConversation(store, { members, ...conversation }) {
  rememberUsers(store, [conversation.peer]);
  rememberMembers(store, members);
  store.state.conversations.set(conversation.id, {
    ...conversation,
    my: { ...conversation.my },
    countedRev: conversation.last_rev,
    archivedSeq: conversation.last_seq,
  });
}

function rememberMembers(store, members = []) {
  rememberUsers(
    store,
    members.map(({ user, presence }) => ({ ...user, presence })),
  );
}

function previewOf({ id, seq, sender_id, type, content, data, created_at, deleted_at }) {
  return { id, seq, sender_id, type, content: preview(content), data, created_at, deleted_at };
}

function setReadMark(conversation, seq, unread) {
  if (seq < conversation.my.last_read_seq) return;
  conversation.my.last_read_seq = seq;
  conversation.unread_count = seq >= conversation.last_seq ? 0 : unread;
}

/** Returns the unread count after the mark moves to `seq`, from the messages that were read just now if they are loaded. */
function countLeft(store, { id, unread_count, last_seq, my }, seq) {
  const count = countBetween(store, { id }, my.last_read_seq, seq);
  return Math.min(unread_count - (count ?? 0), last_seq - seq);
}

/** Counts the messages of others after `first` up to `last`; null if not all of them are loaded. */
function countBetween(store, { id }, first, last) {
  const room = store.state.rooms.get(id);
  if (!room || (first < last && !covers(room, first + 1, last))) return null;
  const isOther = ({ type, sender_id }) => type !== 'system' && sender_id !== store.state.me?.id;
  return room.items.filter((item) => item.seq > first && item.seq <= last && isOther(item)).length;
}

function activity({ last_message, created_at }) {
  return last_message?.created_at ?? created_at;
}
