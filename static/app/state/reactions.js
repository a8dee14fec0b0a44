// Reactions to messages.
// This file contains changes of `reactions` on loaded messages. It must not contain the users who reacted, which are
// loaded on demand, or the picker.

import { changeMessage } from './messages.js';

/** Applies a reaction event. The event contains the whole count, so a repetition changes nothing. */
export function setReaction(store, { conversation_id, message_id, emoji, user_id, action, count }, rev) {
  const own = user_id === store.state.me?.id;
  changeMessage(store, conversation_id, message_id, rev, (message) =>
    withReaction(message, emoji, (old) => ({ count, me: own ? action === 'added' : old.me })),
  );
}

/** Shows a reaction of this user immediately, before the server has answered. */
export function showOwnReaction(store, { conversation_id, message_id, emoji }, on) {
  const room = store.state.rooms.get(conversation_id);
  const index = room?.items.findIndex(({ id }) => id === message_id) ?? -1;
  if (index === -1) return;
  room.items[index] = withReaction(room.items[index], emoji, (old) => ({
    count: old.count + Number(on) - Number(old.me),
    me: on,
  }));
  store.touch(`room:${conversation_id}`);
}

/** Replaces the reactions of a message by those that the server answered. */
export function setReactions(store, { conversation_id, id, reactions }) {
  const room = store.state.rooms.get(conversation_id);
  const index = room?.items.findIndex((item) => item.id === id) ?? -1;
  if (index === -1) return;
  room.items[index] = { ...room.items[index], reactions };
  store.touch(`room:${conversation_id}`);
}

function withReaction(message, emoji, change) {
  const old = message.reactions.find((reaction) => reaction.emoji === emoji) ?? { emoji, count: 0, me: false };
  const next = { emoji, ...change({ ...old, me: Boolean(old.me) }) };
  const others = message.reactions.map((reaction) => (reaction.emoji === emoji ? next : reaction));
  const reactions = message.reactions.some((reaction) => reaction.emoji === emoji) ? others : [...others, next];
  return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
}
