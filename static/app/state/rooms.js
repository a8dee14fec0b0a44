// The part of a conversation that is on the screen.
// Lives here: loading of `rooms` — pages and how they join. May not live here: what happens to a message that is loaded
// (messages.js), previews and counts (conversations.js), unsent messages (the SDK's outbox).
//
// A room holds one unbroken run of messages, ascending by `seq`, each once. It reaches to the newest, except after a jump
// to an old message: then `hasAfter` is true, and what comes live waits on the server until the reader gets there.
// Each message carries `asOf`: the revision it was read at. An event at or below it is older than what is shown.

import { met } from './people.js';

/** A reader who scrolls on and on has this many messages around them; more would make every keystroke slow. */
const MOST = 500;

export function roomOf(state, id) {
  const room = state.rooms.get(id) ?? {
    items: [],
    hasBefore: true,
    hasAfter: false,
    status: 'empty',
    older: 'idle',
    newer: 'idle',
    missed: false,
  };
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
  const later = room.hasAfter ? [] : room.items.filter(({ seq }) => seq > last);
  const unbroken = later.length > 0 && later[0].seq === last + 1;
  filled(store, id, {
    items: [...read(store, page), ...(unbroken ? later : [])],
    hasBefore: page.has_more_before,
    hasAfter: room.hasAfter && room.missed,
  });
}

/** A page around an old message: joins what is here if it meets it, else replaces it. */
export function windowLoaded(store, id, page) {
  const room = roomOf(store.state, id);
  const items = read(store, page);
  const meets = items.length > 0 && room.items.length > 0 && items.at(-1).seq >= room.items[0].seq - 1;
  const older = meets && items[0].seq <= room.items[0].seq;
  if (older) {
    const first = room.items[0].seq;
    filled(store, id, {
      items: [...items.filter(({ seq }) => seq < first), ...room.items],
      hasBefore: page.has_more_before,
      hasAfter: room.hasAfter,
    });
  } else {
    filled(store, id, { items, hasBefore: page.has_more_before, hasAfter: page.has_more_after || room.missed });
  }
}

/** A page of messages before `before` goes on top, unless the room begins elsewhere by now. */
export function olderLoaded(store, id, page, before) {
  const room = roomOf(store.state, id);
  if (room.items[0]?.seq === before) {
    const items = [...read(store, page), ...room.items];
    room.items = items.slice(0, MOST);
    room.hasBefore = page.has_more_before;
    room.hasAfter ||= items.length > MOST;
  }
  room.older = 'idle';
  store.touch(`room:${id}`);
}

/**
 * A page of messages after `after` goes below, unless the room ends elsewhere by now. What came live while it was on its
 * way may still be missing after it.
 */
export function newerLoaded(store, id, page, after) {
  const room = roomOf(store.state, id);
  if (room.items.at(-1)?.seq === after) {
    const items = [...room.items, ...read(store, page)];
    room.items = items.slice(-MOST);
    room.hasBefore ||= items.length > MOST;
    room.hasAfter = page.has_more_after || room.missed;
    room.missed = false;
  }
  room.newer = 'idle';
  store.touch(`room:${id}`);
}

/** A new message, live or as the answer to one's own sending. */
export function messageCame(store, message, rev) {
  met(store, [message.sender]);
  const room = store.state.rooms.get(message.conversation_id);
  if (!room || room.status === 'empty') return;
  const index = room.items.findIndex(({ seq }) => seq >= message.seq);
  if (room.items[index]?.seq === message.seq) return;
  if (index === 0 && room.hasBefore) return;
  if (index === -1 && room.hasAfter) {
    room.missed = true;
    return;
  }
  room.items.splice(index === -1 ? room.items.length : index, 0, { ...message, asOf: rev });
  store.touch(`room:${message.conversation_id}`);
}

function filled(store, id, changes) {
  Object.assign(roomOf(store.state, id), changes, { status: 'ready', older: 'idle', newer: 'idle', missed: false });
  store.touch(`room:${id}`);
}

function read(store, { items, rev }) {
  met(
    store,
    items.map(({ sender }) => sender),
  );
  return items.map((message) => ({ ...message, asOf: rev }));
}
