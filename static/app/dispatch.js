// From events to changes.
// Lives here: one line for each frame type, naming the function that changes the state. A type that is not listed is
// from a later server and changes nothing. May not live here: the changes themselves (state/), or any answer to the
// server (actions/).

import * as conversations from './state/conversations.js';
import * as members from './state/members.js';
import * as mentions from './state/mentions.js';
import * as messages from './state/messages.js';
import * as people from './state/people.js';
import * as pins from './state/pins.js';
import * as reactions from './state/reactions.js';
import * as rooms from './state/rooms.js';

/** @type {Record<string, (store: import('./store.js').Store, payload: any, rev: number) => void>} */
const HANDLERS = {
  'message.new': messageNew,
  'message.edited': messageEdited,
  'message.deleted': messageDeleted,
  'message.hidden': messageHidden,
  'message.pinned': messagePinned,
  'message.unpinned': messageUnpinned,
  'message.status': (store, payload) => messages.statusMoved(store, payload),
  'reaction.updated': (store, payload, rev) => reactions.reactionUpdated(store, payload, rev),
  'conversation.created': (store, payload) => conversations.conversationGained(store, payload),
  'conversation.removed': (store, payload) => conversations.conversationGone(store, payload),
  'conversation.updated': (store, payload, rev) => conversations.conversationChanged(store, payload, rev),
  'conversation.settings': (store, payload) => conversations.settingsChanged(store, payload),
  'conversation.read': (store, payload) => conversations.readMoved(store, payload),
  'participant.joined': (store, payload, rev) => members.membersJoined(store, payload, rev),
  'participant.left': participantLeft,
  'participant.updated': (store, payload, rev) => members.memberChanged(store, payload, rev),
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
  rooms.messageCame(store, message, rev ?? 0);
  conversations.messageCounted(store, message, rev);
}

function messageNew(store, { message }, rev) {
  messageArrived(store, message, rev);
  mentions.mentionNoted(store, message);
  people.typingStopped(store, { conversation_id: message.conversation_id, user_id: message.sender_id });
}

function messageEdited(store, payload, rev) {
  messages.messageEdited(store, payload, rev);
  conversations.previewChanged(store, payload.message, payload.message);
  mentions.mentionNoted(store, payload.message);
  pins.pinEdited(store, payload);
}

function messageDeleted(store, payload, rev) {
  const { conversation_id, message_id } = payload;
  messages.messageDeleted(store, payload, rev);
  conversations.previewChanged(
    store,
    { conversation_id, id: message_id },
    { content: '', data: null, deleted_at: new Date().toISOString() },
  );
  mentions.mentionGone(store, payload);
  pins.pinGone(store, payload);
}

/** What the user hid from themself is not in the preview either; the newest one that is left here stands in for it. */
function messageHidden(store, payload) {
  const { conversation_id, message_id } = payload;
  const known = messages.findMessage(store.state, conversation_id, message_id);
  if (known) mentions.mentionGone(store, known);
  messages.messageHidden(store, payload);
  const newest = store.state.rooms.get(conversation_id)?.items.at(-1);
  conversations.previewChanged(store, { conversation_id, id: message_id }, newest ?? { content: '', data: null });
  pins.pinGone(store, payload);
}

function messagePinned(store, payload, rev) {
  messages.messagePinned(store, payload, rev, true);
  pins.pinAdded(store, payload);
}

function messageUnpinned(store, payload, rev) {
  messages.messagePinned(store, payload, rev, false);
  pins.pinGone(store, payload);
}

function participantLeft(store, payload, rev) {
  members.memberLeft(store, payload, rev);
  people.typingStopped(store, payload);
}
