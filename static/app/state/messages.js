// The messages of each room.
// Lives here: changes of `rooms`. A room holds one unbroken run of messages that reaches to the newest, ascending by
// `seq`, each once. May not live here: previews and counts (conversations.js), unsent messages (the SDK's outbox).
//
// Each message carries `asOf`: the revision it was read at. An event at or below it is older than what is shown.

import { met } from './people.js';

const ORDER = { sent: 0, delivered: 1, seen: 2 };

export function roomOf(state, id) {
  const room = state.rooms.get(id) ?? { items: [], hasBefore: true, status: 'empty', older: 'idle', divider: null };
  state.rooms.set(id, room);
  return room;
}

export function roomStatus(store, id, changes) {
  Object.assign(roomOf(store.state, id), changes);
  store.touch(`room:${id}`);
}

/** The newest page: replaces the room, and keeps what came live while it was on its way. */
export function newestLoaded(store, id, page) {
  const room = roomOf(store.state, id);
  const last = page.items.at(-1)?.seq ?? 0;
  const later = room.items.filter(({ seq }) => seq > last);
  const unbroken = later.length > 0 && later[0].seq === last + 1;
  room.items = [...read(store, page), ...(unbroken ? later : [])];
  room.hasBefore = page.has_more_before;
  room.status = 'ready';
  room.older = 'idle';
  store.touch(`room:${id}`);
}

/** A page of older messages goes on top, unless the room was loaded anew meanwhile. */
export function olderLoaded(store, id, page) {
  const room = roomOf(store.state, id);
  const first = room.items[0]?.seq ?? Infinity;
  room.items = [...read(store, page).filter(({ seq }) => seq < first), ...room.items];
  room.hasBefore = page.has_more_before;
  room.older = 'idle';
  store.touch(`room:${id}`);
}

/** A new message, live or as the answer to one's own sending. @returns whether it was news here */
export function messageCame(store, message, rev) {
  met(store, [message.sender]);
  const room = store.state.rooms.get(message.conversation_id);
  if (!room || room.status === 'empty') return;
  const index = room.items.findIndex(({ seq }) => seq >= message.seq);
  if (room.items[index]?.seq === message.seq) return;
  if (index === 0 && room.hasBefore) return;
  room.items.splice(index === -1 ? room.items.length : index, 0, { ...message, asOf: rev });
  store.touch(`room:${message.conversation_id}`);
}

export function messageEdited(store, { conversation_id, message }, rev) {
  change(store, conversation_id, message.id, rev, (known) => ({
    ...known,
    ...message,
    status: known.status,
    reactions: known.reactions,
  }));
}

export function messageDeleted(store, { conversation_id, message_id }, rev) {
  change(store, conversation_id, message_id, rev, (known) => ({
    ...known,
    content: '',
    attachments: [],
    deleted_at: known.deleted_at ?? new Date().toISOString(),
  }));
  const room = store.state.rooms.get(conversation_id);
  for (const [index, item] of (room?.items ?? []).entries()) {
    if (item.reply_to?.id === message_id) room.items[index] = { ...item, reply_to: { ...item.reply_to, content: '' } };
  }
}

/** Hidden by this user, for this user. */
export function messageHidden(store, { conversation_id, message_id }) {
  const room = store.state.rooms.get(conversation_id);
  if (!room) return;
  room.items = room.items.filter(({ id }) => id !== message_id);
  store.touch(`room:${conversation_id}`);
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

function change(store, conversationId, messageId, rev, changed) {
  const room = store.state.rooms.get(conversationId);
  const index = room?.items.findIndex(({ id }) => id === messageId) ?? -1;
  if (index === -1 || room.items[index].asOf >= rev) return;
  room.items[index] = { ...changed(room.items[index]), asOf: rev };
  store.touch(`room:${conversationId}`);
}

function read(store, { items, rev }) {
  met(
    store,
    items.map(({ sender }) => sender),
  );
  return items.map((message) => ({ ...message, asOf: rev }));
}
