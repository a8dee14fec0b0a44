// People the user has blocked.
// Lives here: changes of `blocks`. May not live here: what a block does to a conversation; the server says that in its
// settings (conversations.js).

import { met } from './people.js';

export function blocksLoaded(store, items) {
  met(
    store,
    items.map(({ user }) => user),
  );
  store.state.blocks = new Map(items.map((block) => [block.user.id, block]));
  store.touch('blocks');
}

export function blocked(store, block) {
  met(store, [block.user]);
  store.state.blocks.set(block.user.id, block);
  store.touch('blocks');
}

export function unblocked(store, userId) {
  if (store.state.blocks.delete(userId)) store.touch('blocks');
}
