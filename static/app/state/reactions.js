// Reactions to messages.
// Lives here: changes of `reactions` on loaded messages. May not live here: who reacted (asked for when somebody wants to
// know), or the picker.

import { changeMessage } from './messages.js';

/** The event names the whole count, so applying it twice is applying it once. */
export function reactionUpdated(store, { conversation_id, message_id, emoji, user_id, action, count }, rev) {
  const own = user_id === store.state.me?.id;
  changeMessage(store, conversation_id, message_id, rev, (message) =>
    withReaction(message, emoji, (known) => ({ count, me: own ? action === 'added' : known.me })),
  );
}

/** The user's own wish, shown before the server has heard of it. */
export function reactionWished(store, { conversation_id, message_id, emoji }, on) {
  const room = store.state.rooms.get(conversation_id);
  const index = room?.items.findIndex(({ id }) => id === message_id) ?? -1;
  if (index === -1) return;
  room.items[index] = withReaction(room.items[index], emoji, (known) => ({
    count: known.count + Number(on) - Number(known.me),
    me: on,
  }));
  store.touch(`room:${conversation_id}`);
}

/** What the server says of a message's reactions, asked for anew. */
export function reactionsLoaded(store, { conversation_id, id, reactions }) {
  const room = store.state.rooms.get(conversation_id);
  const index = room?.items.findIndex((item) => item.id === id) ?? -1;
  if (index === -1) return;
  room.items[index] = { ...room.items[index], reactions };
  store.touch(`room:${conversation_id}`);
}

function withReaction(message, emoji, changed) {
  const known = message.reactions.find((reaction) => reaction.emoji === emoji) ?? { emoji, count: 0, me: false };
  const next = { emoji, ...changed({ ...known, me: Boolean(known.me) }) };
  const others = message.reactions.map((reaction) => (reaction.emoji === emoji ? next : reaction));
  const reactions = message.reactions.some((reaction) => reaction.emoji === emoji) ? others : [...others, next];
  return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
}
