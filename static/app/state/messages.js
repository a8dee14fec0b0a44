// Changes of loaded messages.
// This file contains changes of single messages in `rooms`: edited, deleted, hidden, pinned, delivered, seen. It must
// not contain which messages are loaded (rooms.js), reactions (reactions.js), or previews and counts
// (conversations.js).

import { preview } from '../lib/text.js';

const ORDER = { sent: 0, delivered: 1, seen: 2 };

/** Returns a loaded message, or null. */
export function findMessage(state, conversationId, messageId) {
  return state.rooms.get(conversationId)?.items.find(({ id }) => id === messageId) ?? null;
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
  if (!room) return;
  room.items = room.items.filter(({ id }) => id !== message_id);
  store.touch(`room:${conversation_id}`);
}

export function setMessagePinned(store, { conversation_id, message_id }, rev, pinned) {
  changeMessage(store, conversation_id, message_id, rev, (old) => ({ ...old, pinned }));
}

/** Applies a status event: another user received or saw this user's messages up to `seq`. */
export function advanceStatus(store, { conversation_id, status, seq }) {
  const room = store.state.rooms.get(conversation_id);
  if (!room) return;
  for (const [index, item] of room.items.entries()) {
    if (item.seq > seq || item.sender_id !== store.state.me?.id) continue;
    if ((ORDER[item.status] ?? 0) < ORDER[status]) room.items[index] = { ...item, status };
  }
  store.touch(`room:${conversation_id}`);
}

/** Replaces a loaded message by the result of `change`, unless the message is at this revision or a later one. */
export function changeMessage(store, conversationId, messageId, rev, change) {
  const room = store.state.rooms.get(conversationId);
  const index = room?.items.findIndex(({ id }) => id === messageId) ?? -1;
  if (index === -1 || room.items[index].shownRev >= rev) return;
  room.items[index] = { ...change(room.items[index]), shownRev: rev };
  store.touch(`room:${conversationId}`);
}

function updateQuotes(store, conversationId, messageId, rev, content) {
  const room = store.state.rooms.get(conversationId);
  for (const [index, item] of (room?.items ?? []).entries()) {
    if (item.reply_to?.id !== messageId || item.shownRev >= rev) continue;
    room.items[index] = { ...item, reply_to: { ...item.reply_to, content } };
    store.touch(`room:${conversationId}`);
  }
}
