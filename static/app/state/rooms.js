// The messages of conversations that are loaded.
// This file contains the loading of `rooms`: pages and how they join. It must not contain changes of loaded messages
// (messages.js), previews and counts (conversations.js), or unsent messages (the SDK's outbox).
//
// A room contains one run of messages without a gap, ascending by `seq`, each once. The run reaches to the newest
// message, except after a jump to an old message: then `hasAfter` is true, and live messages are not added; they are
// loaded when the user scrolls there. Each message has `shownRev`, the revision at which it was read. An event at or
// below it is older.

import { rememberUsers } from './people.js';

/** The most messages that a page leaves in a room. With more, every change would be slow. */
const MAX_MESSAGES = 200;
/** Live messages may exceed the most by so many, so that not every one of them moves the window. */
const SPARE_MESSAGES = 50;

/** Returns a room, and creates it if it does not exist. */
export function getRoom(state, id) {
  const room = state.rooms.get(id) ?? {
    items: [],
    hasBefore: true,
    hasAfter: false,
    status: 'empty',
    olderStatus: 'idle',
    newerStatus: 'idle',
    missedLive: false,
    readingSeq: null,
  };
  state.rooms.set(id, room);
  return room;
}

/** Notes the message at which the user reads, so that it stays loaded; null at the end of the room. */
export function setReadingSeq(store, id, seq) {
  getRoom(store.state, id).readingSeq = seq;
}

/** Whether the first message after `mark` is loaded, or there is none. */
export function reachesBackTo({ items, hasBefore }, mark) {
  return !hasBefore || (items.length > 0 && items[0].seq <= mark + 1);
}

export function updateRoom(store, id, changes) {
  Object.assign(getRoom(store.state, id), changes);
  store.touch(`room:${id}`);
}

/** Replaces the room by the newest page, and keeps live messages that came while the page was loaded. */
export function showNewestPage(store, id, page) {
  const room = getRoom(store.state, id);
  const last = page.items.at(-1)?.seq ?? 0;
  const later = room.hasAfter ? [] : room.items.filter(({ seq }) => seq > last);
  const isNext = later.length > 0 && later[0].seq === last + 1;
  replaceRoom(store, id, {
    items: [...messagesOf(store, page), ...(isNext ? later : [])],
    hasBefore: page.has_more_before,
    hasAfter: room.hasAfter && room.missedLive,
  });
}

/** Adds a page around an old message if it overlaps or touches the room, else replaces the room by it. */
export function showPageAround(store, id, page) {
  const room = getRoom(store.state, id);
  const items = messagesOf(store, page);
  const touches = items.length > 0 && room.items.length > 0 && items.at(-1).seq >= room.items[0].seq - 1;
  const isOlder = touches && items[0].seq <= room.items[0].seq;
  if (isOlder) {
    const first = room.items[0].seq;
    replaceRoom(store, id, {
      items: [...items.filter(({ seq }) => seq < first), ...room.items],
      hasBefore: page.has_more_before,
      hasAfter: room.hasAfter,
    });
  } else {
    replaceRoom(store, id, {
      items,
      hasBefore: page.has_more_before,
      hasAfter: page.has_more_after || room.missedLive,
    });
  }
}

/** Adds a page of messages before `before`, unless the room starts with another message by now. */
export function addOlderPage(store, id, page, before) {
  const room = getRoom(store.state, id);
  if (room.items[0]?.seq === before) {
    const items = [...messagesOf(store, page), ...room.items];
    room.items = items.slice(0, MAX_MESSAGES);
    room.hasBefore = page.has_more_before;
    room.hasAfter ||= items.length > MAX_MESSAGES;
  }
  room.olderStatus = 'idle';
  store.touch(`room:${id}`);
}

/**
 * Adds a page of messages after `after`, unless the room ends with another message by now. Live messages that came
 * while the page was loaded may be missing after it.
 */
export function addNewerPage(store, id, page, after) {
  const room = getRoom(store.state, id);
  if (room.items.at(-1)?.seq === after) {
    const items = [...room.items, ...messagesOf(store, page)];
    room.items = items.slice(-MAX_MESSAGES);
    room.hasBefore ||= items.length > MAX_MESSAGES;
    room.hasAfter = page.has_more_after || room.missedLive;
    room.missedLive = false;
  }
  room.newerStatus = 'idle';
  store.touch(`room:${id}`);
}

/** Adds a new message, from an event or from the answer to the user's own send. */
export function addMessage(store, message, rev) {
  rememberUsers(store, [message.sender]);
  const room = store.state.rooms.get(message.conversation_id);
  if (!room || room.status === 'empty') return;
  const index = room.items.findIndex(({ seq }) => seq >= message.seq);
  if (room.items[index]?.seq === message.seq) return;
  if (index === 0 && room.hasBefore) return;
  if (index === -1 && room.hasAfter) {
    room.missedLive = true;
    return;
  }
  room.items.splice(index === -1 ? room.items.length : index, 0, { ...message, shownRev: rev });
  if (room.items.length > MAX_MESSAGES + SPARE_MESSAGES) keepWindow(room);
  store.touch(`room:${message.conversation_id}`);
}

/** Forgets the messages that are far from where the user reads. They are loaded again when the user scrolls there. */
function keepWindow(room) {
  const { items, readingSeq } = room;
  const index = readingSeq === null ? items.length : items.findIndex(({ seq }) => seq >= readingSeq);
  const start = Math.min(Math.max(index - MAX_MESSAGES / 2, 0), items.length - MAX_MESSAGES);
  room.items = items.slice(start, start + MAX_MESSAGES);
  room.hasBefore ||= start > 0;
  room.hasAfter ||= start + MAX_MESSAGES < items.length;
}

function replaceRoom(store, id, changes) {
  Object.assign(getRoom(store.state, id), changes, {
    status: 'ready',
    olderStatus: 'idle',
    newerStatus: 'idle',
    missedLive: false,
  });
  store.touch(`room:${id}`);
}

function messagesOf(store, { items, rev }) {
  rememberUsers(
    store,
    items.map(({ sender }) => sender),
  );
  return items.map((message) => ({ ...message, shownRev: rev }));
}
