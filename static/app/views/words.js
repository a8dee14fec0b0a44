// What the app says when something did not work, and what system messages say.
// Lives here: sentences. May not live here: elements, or decisions.

import { nameOf } from '../state/conversations.js';
import { nameList } from '../lib/text.js';

const SENTENCES = {
  network: 'The server cannot be reached. Check your connection and try again.',
  disconnected: 'There is no connection right now. Try again in a moment.',
  timeout: 'The server took too long to answer. Try again.',
  unavailable: 'The server is busy for a moment. Try again.',
  busy: 'A lot of your own work is still under way. Try again in a moment.',
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
  temp_id_reused: 'This message was already sent with other words.',
  payload_too_large: 'That is too long to send.',
  not_found: 'That no longer exists.',
  cannot_leave_direct: 'A conversation of two cannot be left. You can archive it, or block the other.',
  class_conversation: 'This belongs to a class and is managed there.',
  self_block: 'You cannot block yourself.',
  self_conversation: 'You cannot write to yourself.',
};

/** A sentence for a failure; what the server said where we know nothing better. */
export function sentence(error) {
  if (error.code === 'validation_failed' && error.fields?.length > 0) return error.fields.map(fieldSentence).join(' ');
  return SENTENCES[error.code] ?? capital(error.message || 'Something went wrong. Try again.');
}

/** The same for a stored code. */
export function sentenceFor(code) {
  return SENTENCES[code] ?? 'The server did not accept it.';
}

function fieldSentence({ field, message }) {
  return `${capital(field.replace(/_/g, ' '))} ${message}.`.replace(/\.\.$/, '.');
}

function capital(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

const SIGNED_OUT = {
  suspended: 'This account is suspended.',
  elsewhere: 'You signed out in another tab.',
  logout: null,
};

/** Why somebody is suddenly at the sign-in page; null when they asked for it. */
export function signedOutSentence(code) {
  if (code === undefined || code === null) return null;
  return Object.hasOwn(SIGNED_OUT, code) ? SIGNED_OUT[code] : 'Your session has ended. Please sign in again.';
}

/**
 * A system message in words. The server sends what happened (`data`) and an English text for clients that know no
 * better; that text also serves while somebody it names is unknown here.
 */
export function systemText(message, { people, me }) {
  const { event, actor_id: actorId, user_ids: userIds = [], name } = message.data ?? {};
  const known = (id) => (id === me?.id ? 'you' : nameOf(people.get(id)));
  const actor = actorId ? known(actorId) : null;
  const others = userIds.map(known);
  if ((actorId && !actor) || others.includes(null)) return message.content;
  const who = actor ? capital(actor) : null;
  const list = nameList(others);
  switch (event) {
    case 'group_created':
      return who && name ? `${who} created “${name}”` : message.content;
    case 'members_added':
      return who && list ? `${who} added ${list}` : message.content;
    case 'member_removed':
      return who && list ? `${who} removed ${list}` : message.content;
    case 'member_left':
      return who ? `${who} left` : message.content;
    case 'renamed':
      return who && name ? `${who} named the group “${name}”` : message.content;
    default:
      return message.content;
  }
}
