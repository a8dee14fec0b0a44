// The REST calls by name.
// Lives here: one short method per route, each with a fresh token and one more try after a 401.
// May not live here: state, retries with delays, or anything about the socket.

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
    return this.call('DELETE', `/auth/sessions/${encodeURIComponent(id)}`);
  }

  async ticket() {
    return (await this.call('POST', '/ws/ticket')).ticket;
  }

  async searchUsers(q, { limit = 20, signal } = {}) {
    return (await this.call('GET', '/users/search', { query: { q, limit }, signal })).items;
  }

  /** Every conversation of the user that is not archived, page by page. */
  conversations() {
    return this.#all('/conversations');
  }

  conversation(id) {
    return this.call('GET', `/conversations/${encodeURIComponent(id)}`);
  }

  createDirect(userRef) {
    return this.call('POST', '/conversations', { body: { type: 'direct', participant_ids: [userRef] } });
  }

  createGroup(name, participant_ids) {
    return this.call('POST', '/conversations', { body: { type: 'group', name, participant_ids } });
  }

  /** Leaves a group. */
  leave(id) {
    return this.call('DELETE', `/conversations/${encodeURIComponent(id)}`);
  }

  /** Every participant, page by page. */
  members(id) {
    return this.#all(`/conversations/${encodeURIComponent(id)}/members`);
  }

  async addMembers(id, user_ids) {
    return (await this.call('POST', `/conversations/${encodeURIComponent(id)}/members`, { body: { user_ids } })).items;
  }

  removeMember(id, userRef) {
    return this.call('DELETE', `/conversations/${encodeURIComponent(id)}/members/${encodeURIComponent(userRef)}`);
  }

  /**
   * A page of messages, ascending: the newest, or before, after or around a `seq`.
   * @returns {Promise<{items: object[], has_more_before: boolean, has_more_after: boolean, rev: number}>}
   */
  messages(id, { before, after, around, limit = 50 } = {}) {
    return this.call('GET', `/conversations/${encodeURIComponent(id)}/messages`, {
      query: { before, after, around, limit },
    });
  }

  async #all(path, query = {}) {
    const items = [];
    let cursor;
    do {
      const page = await this.call('GET', path, { query: { ...query, limit: PAGE, cursor } });
      items.push(...page.items);
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
    return items;
  }
}
