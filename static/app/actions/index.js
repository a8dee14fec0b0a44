// What the user does.
// Lives here: the things a person may do in the app, put together from one file a noun. May not live here: elements, or
// changes of state beyond calling state/.

import { accountActions } from './accounts.js';
import { conversationActions } from './conversations.js';
import { memberActions } from './members.js';
import { messageActions } from './messages.js';
import { roomActions } from './rooms.js';

/** @param {{client: object, store: object, router: object}} parts */
export function createActions(parts) {
  const actions = {};
  for (const some of [accountActions, conversationActions, memberActions, messageActions, roomActions])
    Object.assign(actions, some(parts, actions));
  return actions;
}
