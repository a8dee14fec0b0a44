// From events to changes of the state.
// This file contains one line for each frame type, which names the function that changes the state. A type that is not
// listed comes from a newer server version and changes nothing. This file must not contain the changes themselves
// (state/), or requests to the server (actions/).

import * as conversations from './state/conversations.js';
import * as members from './state/members.js';
import * as mentions from './state/mentions.js';
import { hasAfter } from './state/message-window.js';
import * as messages from './state/messages.js';
import * as people from './state/people.js';
import * as pins from './state/pins.js';
import * as reactions from './state/reactions.js';
import * as rooms from './state/rooms.js';

/** @type {Record<string, (store: import('./store.js').Store, payload: any, rev: number) => void>} */
const HANDLERS = {
  'message.new': onMessageNew,
  'message.edited': onMessageEdited,
  'message.deleted': onMessageDeleted,
  'message.hidden': onMessageHidden,
  'message.pinned': onMessagePinned,
  'message.unpinned': onMessageUnpinned,
  'message.status': (store, payload) => messages.advanceStatus(store, payload),
  'reaction.updated': (store, payload, rev) => reactions.setReaction(store, payload, rev),
  'conversation.created': (store, payload) => conversations.addConversation(store, payload),
  'conversation.removed': (store, payload) => conversations.removeConversation(store, payload),
  'conversation.updated': (store, payload, rev) => conversations.changeConversation(store, payload, rev),
  'conversation.settings': (store, payload) => conversations.updateSettings(store, payload),
  'conversation.read': (store, payload) => conversations.moveReadMark(store, payload),
  'participant.joined': (store, payload, rev) => members.addMembers(store, payload, rev),
  'participant.left': onParticipantLeft,
  'participant.updated': (store, payload, rev) => members.setMemberRole(store, payload, rev),
  'presence.update': (store, payload) => people.setPresence(store, payload),
  'typing.start': (store, payload) => people.startTyping(store, payload),
  'typing.stop': (store, payload) => people.stopTyping(store, payload),
  'user.updated': (store, payload) => people.updateProfile(store, payload),
};

/** @param {{type: string, payload?: object, rev?: number}} frame */
export function dispatch(store, frame) {
  if (Object.hasOwn(HANDLERS, frame.type)) HANDLERS[frame.type](store, frame.payload ?? {}, frame.rev ?? 0);
}

/** Applies a new message, from an event or from the answer to the user's own send. Either may come first. */
export function applyMessage(store, message, rev) {
  rooms.addMessage(store, message, rev ?? 0);
  conversations.countMessage(store, message, rev);
}

function onMessageNew(store, { message }, rev) {
  applyMessage(store, message, rev);
  mentions.updateMention(store, message);
  people.stopTyping(store, { conversation_id: message.conversation_id, user_id: message.sender_id });
}

function onMessageEdited(store, payload, rev) {
  messages.editMessage(store, payload, rev);
  conversations.updatePreview(store, payload.message, payload.message);
  mentions.updateMention(store, payload.message);
  pins.updatePin(store, payload);
}

function onMessageDeleted(store, payload, rev) {
  const { conversation_id, message_id } = payload;
  messages.deleteMessage(store, payload, rev);
  conversations.updatePreview(
    store,
    { conversation_id, id: message_id },
    { content: '', data: null, deleted_at: new Date().toISOString() },
  );
  mentions.removeMention(store, payload);
  pins.removePin(store, payload);
}

/** Applies the hiding of a message. If the preview shows it, the newest loaded message replaces it there. */
function onMessageHidden(store, payload) {
  const { conversation_id, message_id } = payload;
  const known = messages.findMessage(store.state, conversation_id, message_id);
  if (known) mentions.removeMention(store, known);
  messages.hideMessage(store, payload);
  const room = store.state.rooms.get(conversation_id);
  const newest = room && !hasAfter(room) ? room.items.at(-1) : null;
  conversations.updatePreview(store, { conversation_id, id: message_id }, newest ?? { content: '', data: null });
  pins.removePin(store, payload);
}

function onMessagePinned(store, payload, rev) {
  messages.setMessagePinned(store, payload, rev, true);
  pins.addPin(store, payload);
}

function onMessageUnpinned(store, payload, rev) {
  messages.setMessagePinned(store, payload, rev, false);
  pins.removePin(store, payload);
}

function onParticipantLeft(store, payload, rev) {
  members.removeMember(store, payload, rev);
  people.stopTyping(store, payload);
}
