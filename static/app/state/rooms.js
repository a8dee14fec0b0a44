// The messages of conversations that are loaded.
// This file contains the rooms: for each conversation its window of messages (message-window.js), what is being loaded,
// and where the user reads. It must not contain changes of loaded messages (messages.js), previews and counts
// (conversations.js), or unsent messages (the SDK's outbox).
//
// Each message has `shownRev`, the revision at which it was read. An event at or below it is older.

import {
  coverOf,
  covers,
  emptyWindow,
  touches,
  withHistory,
  withMessage,
  withPage,
} from './message-window.js';
import { rememberUsers } from './people.js';

/** The most rooms whose messages are kept. */
const MAX_ROOMS = 20;

/** Returns a room, and creates it if it does not exist. */
export function getRoom(state, id) {
  const room = state.rooms.get(id) ?? {
    ...emptyWindow(),
    status: 'empty',
    olderStatus: 'idle',
    newerStatus: 'idle',
    /** the first and the last `seq` on the screen */
    view: null,
    /** whether the view stays at the newest message */
    follows: true,
    /** `{seq, offset, unread}`: where the user stopped reading, and how much was unread then; null at the end */
    place: null,
  };
  state.rooms.set(id, room);
  return room;
}

export function updateRoom(store, id, changes) {
  Object.assign(getRoom(store.state, id), changes);
  store.touch(`room:${id}`);
}

/** Replaces the window of messages of a room. */
export function setWindow(store, id, { items, from, to, newest, tail }) {
  updateRoom(store, id, { items, from, to, newest, tail });
}

/** Notes that a room was opened, and drops the rooms that were not opened for longest. */
export function touchRoom(store, id) {
  const { rooms } = store.state;
  const room = getRoom(store.state, id);
  rooms.delete(id);
  rooms.set(id, room);
  for (const oldest of rooms.keys()) {
    if (rooms.size <= MAX_ROOMS) return;
    rooms.delete(oldest);
  }
}

/** Notes what the user sees, so that it stays when messages are dropped. */
export function setView(store, id, view, follows) {
  const room = store.state.rooms.get(id);
  if (room) Object.assign(room, { view, follows });
}

/** Notes where the user leaves the room. */
export function setPlace(store, id, place) {
  const unread = store.state.conversations.get(id)?.unread_count ?? 0;
  const room = store.state.rooms.get(id);
  if (room) room.place = place && { ...place, unread };
}

/** Returns where the user stopped reading; null if there is something new to read since. */
export function keptPlace({ place }, { unread_count }) {
  return place !== null && (place.unread > 0 || unread_count === 0) ? place : null;
}

/** Returns a loaded message, or null. */
export function findInRoom(room, messageId) {
  const isIt = ({ id }) => id === messageId;
  return room?.items.find(isIt) ?? room?.tail?.items.find(isIt) ?? null;
}

/** Whether the user reads at a place that the newest page does not contain. */
export function readsAbove({ follows, view }, { items }) {
  return !follows && view !== null && view.first < (items[0]?.seq ?? 0);
}

/**
 * Shows a page: joins it with the room if they touch, else replaces the room by it.
 * @param {object} request the parameters of the request
 * @param {number} newest the newest message that was known at the request
 */
export function showPage(store, id, page, request, newest) {
  const room = getRoom(store.state, id);
  const cover = coverOf({ ...page, items: messagesOf(store, page) }, request, newest);
  // A page for another part of the conversation may come late. Do not leave the place for it.
  const isForSide = request.before !== undefined || request.after !== undefined;
  if (!isForSide || touches(room, cover)) setWindow(store, id, withPage(room, cover, viewFor(room, request)));
  updateRoom(store, id, { status: 'ready', olderStatus: 'idle', newerStatus: 'idle' });
}

/** Replaces the room by a page of what may be another history. */
export function showHistory(store, id, page) {
  const room = getRoom(store.state, id);
  setWindow(store, id, withHistory(room, coverOf({ ...page, items: messagesOf(store, page) })));
  updateRoom(store, id, { status: 'ready', olderStatus: 'idle', newerStatus: 'idle' });
}

/** Adds a new message, from an event or from the answer to the user's own send. */
export function addMessage(store, message, rev) {
  rememberUsers(store, [message.sender]);
  const room = store.state.rooms.get(message.conversation_id);
  if (!room || room.status === 'empty') return;
  const next = withMessage(room, { ...message, shownRev: rev }, room.follows ? null : room.view);
  if (next !== room) setWindow(store, message.conversation_id, next);
}

/** Whether the message after the read mark is loaded, or there is none. */
export function coversMark(room, { my, last_seq }) {
  return my.last_read_seq >= last_seq || covers(room, my.last_read_seq + 1);
}

/** A page of one side must not push out what the user sees. A page around another message becomes the view. */
function viewFor({ view }, { before, after, around }) {
  if (before !== undefined) return view ?? { first: before, last: before };
  if (after !== undefined) return view ?? { first: after, last: after };
  return around === undefined ? null : { first: around, last: around };
}

function messagesOf(store, { items, rev }) {
  rememberUsers(
    store,
    items.map(({ sender }) => sender),
  );
  return items.map((message) => ({ ...message, shownRev: rev }));
}
