// The texts for errors and system messages.
// This file contains texts.

import { nameOf } from '../state/conversations.js';
import { nameList } from '../lib/text.js';

const ERROR_TEXTS = {
  network: 'The server cannot be reached. Check your connection and try again.',
  disconnected: 'There is no connection right now. Try again in a moment.',
  timeout: 'The server took too long to answer. Try again.',
  unavailable: 'The server is busy for a moment. Try again.',
  busy: 'The server is still working on your earlier requests. Try again in a moment.',
  rate_limited: 'That was a bit fast. Wait a moment and try again.',
  invalid_credentials: 'That username and password do not match.',
  username_taken: 'Somebody already has that username. Try another one.',
  email_taken: 'Somebody already uses that email address.',
  registration_closed: 'New accounts cannot be created here at the moment.',
  suspended: 'This account is suspended.',
  blocked: 'You cannot write to this person.',
  not_a_participant: 'You are no longer in this conversation.',
  forbidden: 'You are not allowed to do that.',
  class_archived: 'This class is archived, so nobody can write here.',
  user_not_found: 'That person no longer has an account.',
  group_full: 'This group is full.',
  temp_id_reused: 'This message was already sent with another text.',
  payload_too_large: 'That is too long to send.',
  not_found: 'That no longer exists.',
  cannot_leave_direct: 'A conversation of two cannot be left. You can archive it, or block the other.',
  class_conversation: 'This belongs to a class and is managed there.',
  self_block: 'You cannot block yourself.',
  self_conversation: 'You cannot write to yourself.',
};

/** Returns the text for an error. For an unknown code it is the text of the server. */
export function errorText(error) {
  if (error.code === 'validation_failed' && error.fields?.length > 0) return error.fields.map(fieldErrorText).join(' ');
  return ERROR_TEXTS[error.code] ?? capitalize(error.message || 'Something went wrong. Try again.');
}

/** Returns the text for an error code that was stored. */
export function errorTextForCode(code) {
  return ERROR_TEXTS[code] ?? 'The server did not accept it.';
}

function fieldErrorText({ field, message }) {
  return `${capitalize(field.replace(/_/g, ' '))} ${message}.`.replace(/\.\.$/, '.');
}

function capitalize(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

const SIGNED_OUT_TEXTS = {
  suspended: 'This account is suspended.',
  elsewhere: 'You signed out in another tab.',
  logout: null,
};

/** Returns why the user was signed out; null if the user asked for it. */
export function signedOutText(code) {
  if (code === undefined || code === null) return null;
  return Object.hasOwn(SIGNED_OUT_TEXTS, code)
    ? SIGNED_OUT_TEXTS[code]
    : 'Your session has ended. Please sign in again.';
}

/**
 * Returns the text of a system message. The server sends what happened (`data`), and an English text for clients that
 * do not know the event. That text is also used while a user in it is unknown here.
 */
export function systemText(message, { people, me }) {
  const { event, actor_id: actorId, user_ids: userIds = [], name } = message.data ?? {};
  const nameFor = (id) => (id === me?.id ? 'you' : nameOf(people.get(id)));
  const actor = actorId ? nameFor(actorId) : null;
  const others = userIds.map(nameFor);
  if ((actorId && !actor) || others.includes(null)) return message.content;
  const subject = actor ? capitalize(actor) : null;
  const list = nameList(others);
  switch (event) {
    case 'group_created':
      return subject && name ? `${subject} created “${name}”` : message.content;
    case 'members_added':
      return subject && list ? `${subject} added ${list}` : message.content;
    case 'member_removed':
      return subject && list ? `${subject} removed ${list}` : message.content;
    case 'member_left':
      return subject ? `${subject} left` : message.content;
    case 'renamed':
      return subject && name ? `${subject} named the group “${name}”` : message.content;
    default:
      return message.content;
  }
}
