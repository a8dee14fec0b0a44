// What the user does.
// This file contains all actions of the user, combined from one file for each kind. It must not contain DOM elements,
// or changes of the state other than calls of state/.

import { accountActions } from './accounts.js';
import { conversationActions } from './conversations.js';
import { memberActions } from './members.js';
import { messageActions } from './messages.js';
import { roomActions } from './rooms.js';

/** @param {{client: object, store: object, router: object}} parts the objects that the actions use */
export function createActions(parts) {
  const actions = {};
  for (const create of [accountActions, conversationActions, memberActions, messageActions, roomActions])
    Object.assign(actions, create(parts, actions));
  return actions;
}
