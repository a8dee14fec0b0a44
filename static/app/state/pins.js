// Pinned messages.
// Lives here: changes of `pins`, the lists that somebody looked at. May not live here: the mark on a message in its room
// (messages.js).

import { findMessage } from './messages.js';

export function pinsLoaded(store, id, items) {
  store.state.pins.set(id, { items, status: 'ready' });
  store.touch(`pins:${id}`);
}

export function pinsStatus(store, id, status) {
  store.state.pins.set(id, { items: [], ...store.state.pins.get(id), status });
  store.touch(`pins:${id}`);
}

/** A message that is not loaded cannot be shown in the list: then the list is asked for again. */
export function pinAdded(store, { conversation_id, message_id }) {
  const message = findMessage(store.state, conversation_id, message_id);
  change(store, conversation_id, ({ items, status }) => {
    const others = items.filter(({ id }) => id !== message_id);
    return message ? { items: [{ ...message, pinned: true }, ...others], status } : { items, status: 'stale' };
  });
}

/** Unpinned, deleted or hidden. */
export function pinGone(store, { conversation_id, message_id }) {
  change(store, conversation_id, ({ items, status }) => ({
    items: items.filter(({ id }) => id !== message_id),
    status,
  }));
}

export function pinEdited(store, { conversation_id, message }) {
  change(store, conversation_id, ({ items, status }) => ({
    items: items.map((item) => (item.id === message.id ? { ...item, ...message, pinned: true } : item)),
    status,
  }));
}

function change(store, id, changed) {
  const known = store.state.pins.get(id);
  if (!known) return;
  store.state.pins.set(id, changed(known));
  store.touch(`pins:${id}`);
}
