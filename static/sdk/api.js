// One method for each REST call.
// This file contains short methods. Each call carries an access token, and is repeated once with a newer token if the
// server answers 401. It must not contain state, retries with delays, or code for the socket.

import { uuid } from './ids.js';

const PAGE_SIZE = 100;

/**
 * The REST calls of the signed-in user.
 *
 * Parameters: `id` is the id of a conversation, `messageId` of a message. `userRef` names a user by id, by username, or
 * by `ext:` and the id that the host application uses. Every method rejects with a `GreenroomError` when the server
 * refuses the call or cannot be reached, and with the code `signed_out` when this device holds no login.
 */
export class Api {
  #http;
  #auth;

  constructor({ http, auth }) {
    this.#http = http;
    this.#auth = auth;
  }

  /**
   * Calls any route as the signed-in user.
   * @param {string} method the HTTP method
   * @param {string} path the path under /api/v1
   * @param {object} [options] the options of `Http.call`, without the token
   * @returns {Promise<any>} the body of the answer; null if it has none
   */
  async call(method, path, options = {}) {
    const token = await this.#auth.token();
    try {
      return await this.#http.call(method, path, { ...options, token });
    } catch (error) {
      if (error.code !== 'unauthorized') throw error;
      return this.#http.call(method, path, { ...options, token: await this.#auth.token({ fresh: true }) });
    }
  }

  /** @returns {Promise<object>} the signed-in user */
  me() {
    return this.call('GET', '/users/me');
  }

  /**
   * Changes the profile of the signed-in user.
   * @param {object} fields the fields to change
   * @returns {Promise<object>} the changed user
   */
  async updateMe(fields) {
    const user = await this.call('PATCH', '/users/me', { body: fields });
    this.#auth.updateUser(user);
    return user;
  }

  /** Changes the password of the signed-in user. The server ends all other logins of the user. */
  changePassword(current_password, new_password) {
    return this.call('PUT', '/users/me/password', { body: { current_password, new_password } });
  }

  /** @returns {Promise<object[]>} the logins of the user that are still valid, the newest first */
  async sessions() {
    return this.#listAll('/auth/sessions');
  }

  /** Ends one login of the user. @param {string} id the id of the login */
  revokeSession(id) {
    return this.call('DELETE', pathOf('auth', 'sessions', id));
  }

  /** @returns {Promise<string>} a ticket that opens one socket within 30 seconds */
  async ticket() {
    return (await this.call('POST', '/ws/ticket')).ticket;
  }

  /**
   * Finds users by name.
   * @param {string} q the text to search for
   * @param {{limit?: number, signal?: AbortSignal}} [options] `limit`: the most users to return
   * @returns {Promise<object[]>} the users
   */
  async searchUsers(q, { limit = 20, signal } = {}) {
    return (await this.call('GET', '/users/search', { query: { q, limit }, signal })).items;
  }

  // Conversations

  /** @returns {Promise<object[]>} all conversations of the user that are archived, or all that are not */
  conversations({ archived = false } = {}) {
    return this.#listAll('/conversations', { archived: archived || undefined });
  }

  /** @returns {Promise<object>} one conversation */
  conversation(id) {
    return this.call('GET', pathOf('conversations', id));
  }

  /** @returns {Promise<object>} unread counts over all conversations: `{messages, conversations, mentions}` */
  unreadCount() {
    return this.call('GET', '/conversations/unread-count');
  }

  /** @returns {Promise<object>} counts over all conversations of the user */
  statistics() {
    return this.call('GET', '/conversations/stats');
  }

  /**
   * Creates the direct conversation with a user. @returns {Promise<object>} the conversation, even if it existed before
   */
  createDirect(userRef) {
    return this.call('POST', '/conversations', { body: { type: 'direct', participant_ids: [userRef] } });
  }

  /**
   * Creates a group.
   * @param {string} name the name of the group
   * @param {string[]} participant_ids references to the other members
   * @param {string} [temp_id] an id that the caller chooses. A repeated call with the same id and the same body returns
   *   the group of the first call, and creates no second one.
   * @returns {Promise<object>} the conversation
   */
  createGroup(name, participant_ids, temp_id = uuid()) {
    return this.call('POST', '/conversations', { body: { type: 'group', name, participant_ids, temp_id } });
  }

  /**
   * Changes a group.
   * @param {string} id
   * @param {{name?: string, description?: string|null, avatar_url?: string|null}} fields the fields to change
   * @returns {Promise<object>} the changed conversation
   */
  updateConversation(id, fields) {
    return this.call('PATCH', pathOf('conversations', id), { body: fields });
  }

  /** Leaves a group. */
  leave(id) {
    return this.call('DELETE', pathOf('conversations', id));
  }

  /**
   * Archives a conversation until the next message in it, or ends that.
   * @returns {Promise<object|null>} the conversation if it is archived now
   */
  archive(id, on = true) {
    return this.#toggle(on, `${pathOf('conversations', id)}/archive`);
  }

  /**
   * Mutes a conversation.
   * @param {string} id
   * @param {Date|null} [until] the end of the mute; null means that it has no end
   * @returns {Promise<object>} the conversation
   */
  mute(id, until = null) {
    const body = until ? { until: until.toISOString() } : {};
    return this.call('POST', `${pathOf('conversations', id)}/mute`, { body });
  }

  /** Ends the mute of a conversation. */
  unmute(id) {
    return this.#toggle(false, `${pathOf('conversations', id)}/mute`);
  }

  /**
   * Keeps a conversation at the top of the user's list, or ends that.
   * @returns {Promise<object|null>} the conversation if it is pinned now
   */
  pinConversation(id, on = true) {
    return this.#toggle(on, `${pathOf('conversations', id)}/pin`);
  }

  /**
   * Chooses which messages of a conversation notify the user.
   * @param {string} id
   * @param {'all'|'mentions'|'none'} level
   * @returns {Promise<object>} the conversation
   */
  notifyLevel(id, level) {
    return this.call('PUT', `${pathOf('conversations', id)}/notify`, { body: { level } });
  }

  /**
   * Moves the user's read mark.
   * @param {string} id
   * @param {number} [seq] the last message that was read; without it, the last message of the conversation
   * @returns {Promise<object>} the read mark
   */
  markRead(id, seq) {
    return this.call('POST', `${pathOf('conversations', id)}/read`, { body: { seq } });
  }

  /** @returns {Promise<string[]>} the ids of the participants who are online or away now */
  async online(id) {
    return (await this.call('GET', `${pathOf('conversations', id)}/online`)).user_ids;
  }

  /** @returns {Promise<string[]>} the ids of the participants who are typing now */
  async typing(id) {
    return (await this.call('GET', `${pathOf('conversations', id)}/typing`)).user_ids;
  }

  /**
   * @returns {Promise<object>} counts of a conversation:
   *   `{messages, attachments, links, members, messages_by_member, first_message_at}`
   */
  stats(id) {
    return this.call('GET', `${pathOf('conversations', id)}/stats`);
  }

  // Members

  /**
   * Reads the participants of a conversation.
   * @param {string} id
   * @param {{limit?: number}} [options] `limit`: reading ends with the page in which this number is reached, so the
   *   answer can be longer
   * @returns {Promise<object[]>} the participants
   */
  members(id, { limit = Infinity } = {}) {
    return this.#listAll(`${pathOf('conversations', id)}/members`, {}, limit);
  }

  /** @returns {Promise<object>} one participant of a conversation */
  member(id, userRef) {
    return this.call('GET', pathOf('conversations', id, 'members', userRef));
  }

  /**
   * Adds users to a group.
   * @param {string} id
   * @param {string[]} user_ids references to the users
   * @param {'admin'|'member'|'observer'} [role]
   * @returns {Promise<object[]>} the participants
   */
  async addMembers(id, user_ids, role) {
    return (await this.call('POST', `${pathOf('conversations', id)}/members`, { body: { user_ids, role } })).items;
  }

  /** Removes a member from a group. */
  removeMember(id, userRef) {
    return this.call('DELETE', pathOf('conversations', id, 'members', userRef));
  }

  /**
   * Changes the role of a participant. The role `owner` transfers the ownership of the group.
   * @returns {Promise<object>} the changed participant
   */
  setRole(id, userRef, role) {
    return this.call('PUT', `${pathOf('conversations', id, 'members', userRef)}/role`, { body: { role } });
  }

  // Messages

  /**
   * Reads one page of messages in ascending order: the newest, or those before, after or around a `seq`.
   * @param {string} id
   * @param {{before?: number, after?: number, around?: number, limit?: number}} [options] at most one `seq`
   * @returns {Promise<{items: object[], has_more_before: boolean, has_more_after: boolean, rev: number}>} `rev` is the
   *   revision of the conversation at which the page was read
   */
  messages(id, { before, after, around, limit = 50 } = {}) {
    return this.call('GET', `${pathOf('conversations', id)}/messages`, { query: { before, after, around, limit } });
  }

  /** @returns {Promise<object>} one message */
  message(messageId) {
    return this.call('GET', pathOf('messages', messageId));
  }

  /**
   * @returns {Promise<object>} a message and its neighbours: `{message, before, after, has_more_before,
   *   has_more_after}`
   */
  context(messageId, limit) {
    return this.call('GET', `${pathOf('messages', messageId)}/context`, { query: { limit } });
  }

  /** Changes the text of a message of the signed-in user. @returns {Promise<object>} the changed message */
  editMessage(id, messageId, content) {
    return this.call('PATCH', pathOf('conversations', id, 'messages', messageId), { body: { content } });
  }

  /** Deletes a message. @param {'everyone'|'me'} [scope] `me` hides the message from this user only */
  deleteMessage(id, messageId, scope = 'everyone') {
    return this.call('DELETE', pathOf('conversations', id, 'messages', messageId), { query: { for: scope } });
  }

  /** @returns {Promise<object[]>} the former texts of a message, the oldest first: `{content, edited_at}` */
  history(id, messageId) {
    return this.#listAll(`${pathOf('conversations', id, 'messages', messageId)}/history`);
  }

  /** @returns {Promise<object>} `{delivered: [{user_id, at}], read: [{user_id, at}], member_count, read_ratio}` */
  receipts(id, messageId) {
    return this.call('GET', `${pathOf('conversations', id, 'messages', messageId)}/receipts`);
  }

  /** @returns {Promise<object[]>} the reactions to a message with their users: `{emoji, count, user_ids}` */
  reactions(id, messageId) {
    return this.#listAll(`${pathOf('conversations', id, 'messages', messageId)}/reactions`);
  }

  /** Adds a reaction of the user to a message. @returns {Promise<object>} all reactions with this emoji */
  addReaction(id, messageId, emoji) {
    return this.call('PUT', pathOf('conversations', id, 'messages', messageId, 'reactions', emoji));
  }

  /** Removes a reaction of the user from a message. */
  removeReaction(id, messageId, emoji) {
    return this.call('DELETE', pathOf('conversations', id, 'messages', messageId, 'reactions', emoji));
  }

  /** @returns {Promise<object[]>} all pinned messages of a conversation */
  pins(id) {
    return this.#listAll(`${pathOf('conversations', id)}/pins`);
  }

  /** Pins a message, or ends that. @returns {Promise<object|null>} the message if it is pinned now */
  pinMessage(id, messageId, on = true) {
    return this.call(on ? 'PUT' : 'DELETE', `${pathOf('conversations', id, 'messages', messageId)}/pin`);
  }

  // Blocks

  /** @returns {Promise<object[]>} the users whom this user has blocked: `{user, created_at}` */
  blocks() {
    return this.#listAll('/blocks');
  }

  /** Blocks a user. @param {string} user a reference to the user */
  block(user) {
    return this.call('POST', '/blocks', { body: { user } });
  }

  /** Ends the block of a user. */
  unblock(userRef) {
    return this.call('DELETE', pathOf('blocks', userRef));
  }

  /** @returns {Promise<object>} the blocks in both directions: `{is_blocked, is_blocked_by, can_send_message}` */
  blockStatus(userRef) {
    return this.call('GET', `${pathOf('blocks', userRef)}/status`);
  }

  #toggle(on, path) {
    return this.call(on ? 'POST' : 'DELETE', path);
  }

  async #listAll(path, query = {}, limit = Infinity) {
    const items = [];
    let cursor;
    do {
      const page = await this.call('GET', path, { query: { ...query, limit: PAGE_SIZE, cursor } });
      items.push(...page.items);
      cursor = page.next_cursor ?? undefined;
    } while (cursor && items.length < limit);
    return items;
  }
}

/** Returns a path. Each part may contain any character. */
function pathOf(...parts) {
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
