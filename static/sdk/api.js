// The REST calls by name.
// Lives here: one short method per route, each with a fresh token and one more try after a 401.
// May not live here: state, retries with delays, or anything about the socket.

import { uuid } from './ids.js';

const PAGE = 100;

export class Api {
  #http;
  #auth;

  constructor({ http, auth }) {
    this.#http = http;
    this.#auth = auth;
  }

  /** Any route under /api/v1 as the signed-in user. */
  async call(method, path, options = {}) {
    const token = await this.#auth.token();
    try {
      return await this.#http.call(method, path, { ...options, token });
    } catch (error) {
      if (error.code !== 'unauthorized') throw error;
      return this.#http.call(method, path, { ...options, token: await this.#auth.token({ fresh: true }) });
    }
  }

  me() {
    return this.call('GET', '/users/me');
  }

  async updateMe(fields) {
    const user = await this.call('PATCH', '/users/me', { body: fields });
    this.#auth.describe(user);
    return user;
  }

  changePassword(current_password, new_password) {
    return this.call('PUT', '/users/me/password', { body: { current_password, new_password } });
  }

  async sessions() {
    return this.#all('/auth/sessions');
  }

  revokeSession(id) {
    return this.call('DELETE', at('auth', 'sessions', id));
  }

  async ticket() {
    return (await this.call('POST', '/ws/ticket')).ticket;
  }

  async searchUsers(q, { limit = 20, signal } = {}) {
    return (await this.call('GET', '/users/search', { query: { q, limit }, signal })).items;
  }

  // Conversations

  /** Every conversation of the user, page by page: those in the list, or those put away. */
  conversations({ archived = false } = {}) {
    return this.#all('/conversations', { archived: archived || undefined });
  }

  conversation(id) {
    return this.call('GET', at('conversations', id));
  }

  /** Unread over all conversations: `{messages, conversations, mentions}`. */
  unreadCount() {
    return this.call('GET', '/conversations/unread-count');
  }

  /** What the user has and wrote, over all conversations. */
  statistics() {
    return this.call('GET', '/conversations/stats');
  }

  createDirect(userRef) {
    return this.call('POST', '/conversations', { body: { type: 'direct', participant_ids: [userRef] } });
  }

  /** @param {string} [temp_id] the caller's own id of the group: sent again with the same body, it makes no second one */
  createGroup(name, participant_ids, temp_id = uuid()) {
    return this.call('POST', '/conversations', { body: { type: 'group', name, participant_ids, temp_id } });
  }

  /** @param {{name?: string, description?: string|null, avatar_url?: string|null}} fields of a group */
  updateConversation(id, fields) {
    return this.call('PATCH', at('conversations', id), { body: fields });
  }

  /** Leaves a group. */
  leave(id) {
    return this.call('DELETE', at('conversations', id));
  }

  /** Puts a conversation away until somebody writes in it, or takes it out again. @returns the conversation */
  archive(id, on = true) {
    return this.#toggle(on, `${at('conversations', id)}/archive`);
  }

  /** @param {Date|null} [until] null: for good. @returns the conversation */
  mute(id, until = null) {
    const body = until ? { until: until.toISOString() } : {};
    return this.call('POST', `${at('conversations', id)}/mute`, { body });
  }

  unmute(id) {
    return this.#toggle(false, `${at('conversations', id)}/mute`);
  }

  /** Keeps a conversation at the top of the user's list, or no longer. */
  pinConversation(id, on = true) {
    return this.#toggle(on, `${at('conversations', id)}/pin`);
  }

  /** @param {'all'|'mentions'|'none'} level which messages notify the user */
  notifyLevel(id, level) {
    return this.call('PUT', `${at('conversations', id)}/notify`, { body: { level } });
  }

  /** Marks everything up to `seq` as read; without it, everything. */
  markRead(id, seq) {
    return this.call('POST', `${at('conversations', id)}/read`, { body: { seq } });
  }

  /** Ids of the participants who are there right now. */
  async online(id) {
    return (await this.call('GET', `${at('conversations', id)}/online`)).user_ids;
  }

  /** Ids of the participants who type right now. */
  async typing(id) {
    return (await this.call('GET', `${at('conversations', id)}/typing`)).user_ids;
  }

  /** `{messages, attachments, links, members, messages_by_member, first_message_at}` */
  stats(id) {
    return this.call('GET', `${at('conversations', id)}/stats`);
  }

  // Members

  /** Every participant, or the first `most`, page by page. */
  members(id, { most = Infinity } = {}) {
    return this.#all(`${at('conversations', id)}/members`, {}, most);
  }

  member(id, userRef) {
    return this.call('GET', at('conversations', id, 'members', userRef));
  }

  /** @param {'admin'|'member'|'observer'} [role] */
  async addMembers(id, user_ids, role) {
    return (await this.call('POST', `${at('conversations', id)}/members`, { body: { user_ids, role } })).items;
  }

  removeMember(id, userRef) {
    return this.call('DELETE', at('conversations', id, 'members', userRef));
  }

  /** Giving `owner` away passes the ownership on. */
  setRole(id, userRef, role) {
    return this.call('PUT', `${at('conversations', id, 'members', userRef)}/role`, { body: { role } });
  }

  // Messages

  /**
   * A page of messages, ascending: the newest, or before, after or around a `seq`.
   * @returns {Promise<{items: object[], has_more_before: boolean, has_more_after: boolean, rev: number}>}
   */
  messages(id, { before, after, around, limit = 50 } = {}) {
    return this.call('GET', `${at('conversations', id)}/messages`, { query: { before, after, around, limit } });
  }

  message(messageId) {
    return this.call('GET', at('messages', messageId));
  }

  /** A message with its neighbours: `{message, before, after, has_more_before, has_more_after}`. */
  context(messageId, limit) {
    return this.call('GET', `${at('messages', messageId)}/context`, { query: { limit } });
  }

  editMessage(id, messageId, content) {
    return this.call('PATCH', at('conversations', id, 'messages', messageId), { body: { content } });
  }

  /** @param {'everyone'|'me'} [who] for whom it goes */
  deleteMessage(id, messageId, who = 'everyone') {
    return this.call('DELETE', at('conversations', id, 'messages', messageId), { query: { for: who } });
  }

  /** Former texts, oldest first: `{content, edited_at}`. */
  history(id, messageId) {
    return this.#all(`${at('conversations', id, 'messages', messageId)}/history`);
  }

  /** `{delivered: [{user_id, at}], read: [{user_id, at}], member_count, read_ratio}` */
  receipts(id, messageId) {
    return this.call('GET', `${at('conversations', id, 'messages', messageId)}/receipts`);
  }

  /** Who reacted with what: `{emoji, count, user_ids}`. */
  reactions(id, messageId) {
    return this.#all(`${at('conversations', id, 'messages', messageId)}/reactions`);
  }

  addReaction(id, messageId, emoji) {
    return this.call('PUT', at('conversations', id, 'messages', messageId, 'reactions', emoji));
  }

  removeReaction(id, messageId, emoji) {
    return this.call('DELETE', at('conversations', id, 'messages', messageId, 'reactions', emoji));
  }

  /** Every pinned message of a conversation. */
  pins(id) {
    return this.#all(`${at('conversations', id)}/pins`);
  }

  pinMessage(id, messageId, on = true) {
    return this.call(on ? 'PUT' : 'DELETE', `${at('conversations', id, 'messages', messageId)}/pin`);
  }

  // Blocks

  /** People the user has blocked: `{user, created_at}`. */
  blocks() {
    return this.#all('/blocks');
  }

  block(user) {
    return this.call('POST', '/blocks', { body: { user } });
  }

  unblock(userRef) {
    return this.call('DELETE', at('blocks', userRef));
  }

  /** `{is_blocked, is_blocked_by, can_send_message}` */
  blockStatus(userRef) {
    return this.call('GET', `${at('blocks', userRef)}/status`);
  }

  #toggle(on, path) {
    return this.call(on ? 'POST' : 'DELETE', path);
  }

  async #all(path, query = {}, most = Infinity) {
    const items = [];
    let cursor;
    do {
      const page = await this.call('GET', path, { query: { ...query, limit: PAGE, cursor } });
      items.push(...page.items);
      cursor = page.next_cursor ?? undefined;
    } while (cursor && items.length < most);
    return items;
  }
}

/** A path from its parts, each of which may hold any character. */
function at(...parts) {
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
