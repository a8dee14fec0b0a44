// Pinned messages.
// This file contains changes of `pins`, the lists that the user opened. It must not contain the pin mark on a message
// in its room (messages.js).

import { findMessage } from './messages.js';

export function setPins(store, id, items) {
  store.state.pins.set(id, { items, status: 'ready' });
  store.touch(`pins:${id}`);
}

export function setPinsStatus(store, id, status) {
  store.state.pins.set(id, { items: [], ...store.state.pins.get(id), status });
  store.touch(`pins:${id}`);
}

/** Adds a pinned message. If the message is not loaded it cannot be shown, so the list must be loaded again. */
export function addPin(store, { conversation_id, message_id }) {
  const message = findMessage(store.state, conversation_id, message_id);
  changePins(store, conversation_id, ({ items, status }) => {
    const others = items.filter(({ id }) => id !== message_id);
    return message ? { items: [{ ...message, pinned: true }, ...others], status } : { items, status: 'stale' };
  });
}

/** Removes a message from the list, because it was unpinned, deleted or hidden. */
export function removePin(store, { conversation_id, message_id }) {
  changePins(store, conversation_id, ({ items, status }) => ({
    items: items.filter(({ id }) => id !== message_id),
    status,
  }));
}

export function updatePin(store, { conversation_id, message }) {
  changePins(store, conversation_id, ({ items, status }) => ({
    items: items.map((item) => (item.id === message.id ? { ...item, ...message, pinned: true } : item)),
    status,
  }));
}

function changePins(store, id, update) {
  const old = store.state.pins.get(id);
  if (!old) return;
  store.state.pins.set(id, update(old));
  store.touch(`pins:${id}`);
}
