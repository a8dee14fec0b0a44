// Reactions to messages.
// This file contains changes of `reactions` on loaded messages. It must not contain the users who reacted, which are
// loaded on demand, or the picker.

import { changeMessage, changeMessages } from './messages.js';

/** Applies a reaction event. The event contains the whole count, so a repetition changes nothing. */
export function setReaction(store, { conversation_id, message_id, emoji, user_id, action, count }, rev) {
  const own = user_id === store.state.me?.id;
  changeMessage(store, conversation_id, message_id, rev, (message) =>
    withReaction(message, emoji, (old) => ({ count, me: own ? action === 'added' : old.me })),
  );
}

/** Shows a reaction of this user immediately, before the server has answered. */
export function showOwnReaction(store, { conversation_id, message_id, emoji }, on) {
  const change = (old) => ({ count: old.count + Number(on) - Number(old.me), me: on });
  changeMessages(store, conversation_id, (item) => (item.id === message_id ? withReaction(item, emoji, change) : item));
}

/** Replaces the reactions of a message by those that the server answered. */
export function setReactions(store, { conversation_id, id, reactions }) {
  changeMessages(store, conversation_id, (item) => (item.id === id ? { ...item, reactions } : item));
}

function withReaction(message, emoji, change) {
  const old = message.reactions.find((reaction) => reaction.emoji === emoji) ?? { emoji, count: 0, me: false };
  const next = { emoji, ...change({ ...old, me: Boolean(old.me) }) };
  const others = message.reactions.map((reaction) => (reaction.emoji === emoji ? next : reaction));
  const reactions = message.reactions.some((reaction) => reaction.emoji === emoji) ? others : [...others, next];
  return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
}
