// From events to changes.
// Lives here: one line for each frame type, naming the function that changes the state. A type that is not listed is
// from a later server and changes nothing. May not live here: the changes themselves (state/), or any answer to the
// server (actions.js).

import * as conversations from './state/conversations.js';
import * as members from './state/members.js';
import * as messages from './state/messages.js';
import * as people from './state/people.js';

/** @type {Record<string, (store: import('./store.js').Store, payload: any, rev: number) => void>} */
const HANDLERS = {
  'message.new': messageNew,
  'message.edited': messageEdited,
  'message.deleted': messageDeleted,
  'message.hidden': (store, payload) => messages.messageHidden(store, payload),
  'message.status': (store, payload) => messages.statusMoved(store, payload),
  'conversation.created': (store, payload) => conversations.conversationGained(store, payload),
  'conversation.removed': (store, payload) => conversations.conversationGone(store, payload),
  'conversation.updated': (store, payload) => conversations.conversationChanged(store, payload),
  'conversation.settings': (store, payload) => conversations.settingsChanged(store, payload),
  'conversation.read': (store, payload) => conversations.readMoved(store, payload),
  'participant.joined': (store, payload, rev) => members.membersJoined(store, payload, rev),
  'participant.left': participantLeft,
  'participant.updated': (store, payload) => members.memberChanged(store, payload),
  'presence.update': (store, payload) => people.presenceChanged(store, payload),
  'typing.start': (store, payload) => people.typingStarted(store, payload),
  'typing.stop': (store, payload) => people.typingStopped(store, payload),
  'user.updated': (store, payload) => people.profileChanged(store, payload),
};

/** @param {{type: string, payload?: object, rev?: number}} frame */
export function dispatch(store, frame) {
  if (Object.hasOwn(HANDLERS, frame.type)) HANDLERS[frame.type](store, frame.payload ?? {}, frame.rev ?? 0);
}

/** A message as an event or as the answer to one's own sending brings it; either may come first. */
export function messageArrived(store, message, rev) {
  messages.messageCame(store, message, rev ?? 0);
  conversations.messageCounted(store, message, rev);
}

function messageNew(store, { message }, rev) {
  messageArrived(store, message, rev);
  people.typingStopped(store, { conversation_id: message.conversation_id, user_id: message.sender_id });
}

function messageEdited(store, payload, rev) {
  messages.messageEdited(store, payload, rev);
  conversations.previewChanged(store, payload.message);
}

function messageDeleted(store, payload, rev) {
  messages.messageDeleted(store, payload, rev);
  const last = store.state.conversations.get(payload.conversation_id)?.last_message;
  if (last?.id === payload.message_id) {
    conversations.previewChanged(store, {
      ...last,
      conversation_id: payload.conversation_id,
      content: '',
      deleted_at: new Date().toISOString(),
    });
  }
}

function participantLeft(store, payload, rev) {
  members.memberLeft(store, payload, rev);
  people.typingStopped(store, payload);
}
