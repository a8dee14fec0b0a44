// What happens to messages that are loaded.
// Lives here: changes of single messages in `rooms` — edited, deleted, hidden, pinned, how far they got. May not live
// here: which messages are loaded (rooms.js), reactions (reactions.js), previews and counts (conversations.js).

import { preview } from '../lib/text.js';

const ORDER = { sent: 0, delivered: 1, seen: 2 };

export function findMessage(state, conversationId, messageId) {
  return state.rooms.get(conversationId)?.items.find(({ id }) => id === messageId) ?? null;
}

/** What depends on who looks is not in the event: status and reactions stay as they are known here. */
export function messageEdited(store, { conversation_id, message }, rev) {
  changeMessage(store, conversation_id, message.id, rev, ({ status, reactions, pinned }) => ({
    ...message,
    status,
    reactions,
    pinned,
  }));
  quotesChanged(store, conversation_id, message.id, rev, preview(message.content ?? ''));
}

/** Deleted for everyone: the place stays, nothing of what was in it does. */
export function messageDeleted(store, { conversation_id, message_id }, rev) {
  changeMessage(store, conversation_id, message_id, rev, (known) => ({
    ...known,
    content: '',
    data: null,
    attachments: [],
    mentions: [],
    mentions_all: false,
    reactions: [],
    pinned: false,
    deleted_at: known.deleted_at ?? new Date().toISOString(),
  }));
  quotesChanged(store, conversation_id, message_id, rev, '');
}

/** Hidden by this user, for this user. */
export function messageHidden(store, { conversation_id, message_id }) {
  const room = store.state.rooms.get(conversation_id);
  if (!room) return;
  room.items = room.items.filter(({ id }) => id !== message_id);
  store.touch(`room:${conversation_id}`);
}

export function messagePinned(store, { conversation_id, message_id }, rev, pinned) {
  changeMessage(store, conversation_id, message_id, rev, (known) => ({ ...known, pinned }));
}

/** Somebody has, or has seen, the user's messages up to `seq`. */
export function statusMoved(store, { conversation_id, status, seq }) {
  const room = store.state.rooms.get(conversation_id);
  if (!room) return;
  for (const [index, item] of room.items.entries()) {
    if (item.seq > seq || item.sender_id !== store.state.me?.id) continue;
    if ((ORDER[item.status] ?? 0) < ORDER[status]) room.items[index] = { ...item, status };
  }
  store.touch(`room:${conversation_id}`);
}

/** Replaces a loaded message by what `changed` makes of it, unless it was read at this revision or later. */
export function changeMessage(store, conversationId, messageId, rev, changed) {
  const room = store.state.rooms.get(conversationId);
  const index = room?.items.findIndex(({ id }) => id === messageId) ?? -1;
  if (index === -1 || room.items[index].asOf >= rev) return;
  room.items[index] = { ...changed(room.items[index]), asOf: rev };
  store.touch(`room:${conversationId}`);
}

function quotesChanged(store, conversationId, messageId, rev, content) {
  const room = store.state.rooms.get(conversationId);
  for (const [index, item] of (room?.items ?? []).entries()) {
    if (item.reply_to?.id !== messageId || item.asOf >= rev) continue;
    room.items[index] = { ...item, reply_to: { ...item.reply_to, content } };
    store.touch(`room:${conversationId}`);
  }
}
