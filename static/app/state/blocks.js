// The users whom this user has blocked.
// This file contains changes of `blocks`. It must not contain what a block does to a conversation; the server says that
// in the conversation's settings (conversations.js).

import { rememberUsers } from './people.js';

export function setBlocks(store, items) {
  rememberUsers(
    store,
    items.map(({ user }) => user),
  );
  store.state.blocks = new Map(items.map((block) => [block.user.id, block]));
  store.touch('blocks');
}

export function addBlock(store, block) {
  rememberUsers(store, [block.user]);
  store.state.blocks.set(block.user.id, block);
  store.touch('blocks');
}

export function removeBlock(store, userId) {
  if (store.state.blocks.delete(userId)) store.touch('blocks');
}
