// Changes of loaded messages.
// This file contains changes of single messages in `rooms`: edited, deleted, hidden, pinned, delivered, seen. It must
// not contain which messages are loaded (rooms.js), reactions (reactions.js), or previews and counts
// (conversations.js).

import { preview } from '../lib/text.js';
import { mapped, without } from './message-window.js';
import { findInRoom, setWindow } from './rooms.js';

const ORDER = { sent: 0, delivered: 1, seen: 2 };

/** Returns a loaded message, or null. */
export function findMessage(state, conversationId, messageId) {
  return findInRoom(state.rooms.get(conversationId), messageId);
}

/** Applies an edit. The event is the same for all users, so status, reactions and pin stay as they are known here. */
export function editMessage(store, { conversation_id, message }, rev) {
  changeMessage(store, conversation_id, message.id, rev, ({ status, reactions, pinned }) => ({
    ...message,
    status,
    reactions,
    pinned,
  }));
  updateQuotes(store, conversation_id, message.id, rev, preview(message.content ?? ''));
}

/** Applies a deletion for everyone: the message stays in the room, without its content. */
export function deleteMessage(store, { conversation_id, message_id }, rev) {
  changeMessage(store, conversation_id, message_id, rev, (old) => ({
    ...old,
    content: '',
    data: null,
    attachments: [],
    mentions: [],
    mentions_all: false,
    reactions: [],
    pinned: false,
    deleted_at: old.deleted_at ?? new Date().toISOString(),
  }));
  updateQuotes(store, conversation_id, message_id, rev, '');
}

/** Removes a message that this user hid. */
export function hideMessage(store, { conversation_id, message_id }) {
  const room = store.state.rooms.get(conversation_id);
  if (room) setWindow(store, conversation_id, without(room, message_id));
}

export function setMessagePinned(store, { conversation_id, message_id }, rev, pinned) {
  changeMessage(store, conversation_id, message_id, rev, (old) => ({ ...old, pinned }));
}

/** Applies a status event: another user received or saw this user's messages up to `seq`. */
export function advanceStatus(store, { conversation_id, status, seq }) {
  changeMessages(store, conversation_id, (item) => {
    const isOlder = (ORDER[item.status] ?? 0) < ORDER[status];
    return isOlder && item.seq <= seq && item.sender_id === store.state.me?.id ? { ...item, status } : item;
  });
}

/** Replaces a loaded message by the result of `change`, unless the message is at this revision or a later one. */
export function changeMessage(store, conversationId, messageId, rev, change) {
  changeMessages(store, conversationId, (item) =>
    item.id !== messageId || item.shownRev >= rev ? item : { ...change(item), shownRev: rev },
  );
}

/** Replaces each loaded message by the result of `change`, which returns the same message if nothing changes. */
export function changeMessages(store, conversationId, change) {
  const room = store.state.rooms.get(conversationId);
  if (!room) return;
  let isChanged = false;
  const next = mapped(room, (item) => {
    const changed = change(item);
    isChanged ||= changed !== item;
    return changed;
  });
  if (isChanged) setWindow(store, conversationId, next);
}

function updateQuotes(store, conversationId, messageId, rev, content) {
  changeMessages(store, conversationId, (item) =>
    item.reply_to?.id !== messageId || item.shownRev >= rev
      ? item
      : { ...item, reply_to: { ...item.reply_to, content } },
  );
}
