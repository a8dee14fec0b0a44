// What the user does.
// Lives here: one function for each thing a person may do in the app, and the acknowledgements that follow from what is
// on the screen. May not live here: elements, or changes of state beyond calling state/.

import { forgetDrafts } from './lib/drafts.js';
import { to } from './router.js';
import { conversationLoaded, readMoved } from './state/conversations.js';
import { membersLoaded, membersStatus } from './state/members.js';
import { newestLoaded, olderLoaded, roomOf, roomStatus } from './state/messages.js';
import { met, presenceKnown } from './state/people.js';

/** Above this many members the server counts no delivery marks. */
const MARKED_MEMBERS = 100;

export class Actions {
  #client;
  #store;
  #router;

  constructor({ client, store, router }) {
    this.#client = client;
    this.#store = store;
    this.#router = router;
  }

  get #state() {
    return this.#store.state;
  }

  // Accounts

  register(fields) {
    return this.#client.auth.register(fields);
  }

  login(fields) {
    return this.#client.auth.login(fields);
  }

  async signOut() {
    const { me } = this.#state;
    for (const entries of this.#state.outbox.values())
      for (const { temp_id } of entries) this.#client.outbox.remove(temp_id);
    await this.#client.auth.logout();
    if (me) forgetDrafts(me.id);
  }

  /** Messages that signing out would throw away. */
  get unsent() {
    return [...this.#state.outbox.values()].reduce((sum, entries) => sum + entries.length, 0);
  }

  rename(display_name) {
    return this.#client.api.updateMe({ display_name });
  }

  shareReceipts(share_read_receipts) {
    return this.#client.api.updateMe({ share_read_receipts });
  }

  changePassword(current, next) {
    return this.#client.api.changePassword(current, next);
  }

  sessions() {
    return this.#client.api.sessions();
  }

  revokeSession(id) {
    return this.#client.api.revokeSession(id);
  }

  // Connection

  reconnect() {
    this.#client.connection.connect();
  }

  /** After each catching up: presence is not in the log, so it is asked for. */
  async refreshPresence() {
    const ids = new Set();
    for (const { peer } of this.#state.conversations.values()) if (peer) ids.add(peer.id);
    for (const { items } of this.#state.members.values()) for (const { user } of items) ids.add(user.id);
    ids.delete(this.#state.me?.id);
    await this.#watch([...ids]);
  }

  // Conversations

  /** Makes sure that a room can be shown: its conversation and its newest messages. */
  async openRoom(id) {
    const room = roomOf(this.#state, id);
    if (room.status === 'ready' || room.status === 'loading') return;
    roomStatus(this.#store, id, { status: 'loading' });
    try {
      if (!this.#state.conversations.has(id)) conversationLoaded(this.#store, await this.#client.api.conversation(id));
      const page = await this.#client.api.messages(id);
      if (this.#state.conversations.has(id)) newestLoaded(this.#store, id, page);
    } catch (error) {
      const missing = [400, 403, 404].includes(error.status);
      roomStatus(this.#store, id, { status: missing ? 'missing' : 'error' });
    }
  }

  async loadOlder(id) {
    const room = roomOf(this.#state, id);
    if (room.status !== 'ready' || room.older === 'loading' || !room.hasBefore || room.items.length === 0) return;
    roomStatus(this.#store, id, { older: 'loading' });
    try {
      olderLoaded(this.#store, id, await this.#client.api.messages(id, { before: room.items[0].seq }));
    } catch {
      roomStatus(this.#store, id, { older: 'error' });
    }
  }

  /** A conversation as the server describes it anew, with its messages. */
  reloaded({ conversation, page }) {
    conversationLoaded(this.#store, conversation);
    if (this.#state.rooms.has(conversation.id)) newestLoaded(this.#store, conversation.id, page);
    if (this.#state.members.has(conversation.id)) this.loadMembers(conversation.id);
  }

  async findPeople(query, signal) {
    const users = await this.#client.api.searchUsers(query, { signal });
    met(this.#store, users);
    return users.filter(({ id }) => id !== this.#state.me?.id);
  }

  async startDirect(userId) {
    this.#entered(await this.#client.api.createDirect(userId));
  }

  async createGroup(name, userIds) {
    this.#entered(await this.#client.api.createGroup(name, userIds));
  }

  async leave(id) {
    await this.#client.api.leave(id);
    this.#router.go(to.home());
  }

  // Members

  async loadMembers(id) {
    membersStatus(this.#store, id, this.#state.members.get(id)?.status === 'ready' ? 'ready' : 'loading');
    try {
      const items = await this.#client.api.members(id);
      membersLoaded(this.#store, id, items);
      await this.#watch(items.map(({ user }) => user.id).filter((userId) => userId !== this.#state.me?.id));
    } catch {
      if (this.#state.members.get(id)?.status === 'loading') membersStatus(this.#store, id, 'error');
    }
  }

  async addMembers(id, userIds) {
    await this.#client.api.addMembers(id, userIds);
    await this.loadMembers(id);
  }

  removeMember(id, userId) {
    return this.#client.api.removeMember(id, userId);
  }

  // Messages

  send(conversationId, content, replyTo) {
    this.#client.send({ conversation_id: conversationId, content, reply_to_id: replyTo?.id });
  }

  retry(tempId) {
    this.#client.outbox.retry(tempId);
  }

  discard(tempId) {
    this.#client.outbox.remove(tempId);
  }

  typed(conversationId) {
    this.#client.typing.keystroke(conversationId);
  }

  stoppedTyping() {
    this.#client.typing.stop();
  }

  /** Everything up to `seq` is on the screen of somebody who is looking. */
  sawUpTo(id, seq) {
    const conversation = this.#state.conversations.get(id);
    if (!conversation || conversation.my.last_read_seq >= seq) return;
    readMoved(this.#store, { conversation_id: id, last_read_seq: seq, unread_count: 0 });
    this.#client.receipts.read(id, seq);
  }

  /** Another's message reached this device. */
  received(id, seq) {
    const conversation = this.#state.conversations.get(id);
    if (conversation && conversation.member_count <= MARKED_MEMBERS) this.#client.receipts.delivered(id, seq);
  }

  #entered(conversation) {
    conversationLoaded(this.#store, conversation);
    this.#client.sync.adopt(conversation);
    this.#router.go(to.conversation(conversation.id));
  }

  async #watch(userIds) {
    if (userIds.length === 0) return;
    try {
      presenceKnown(this.#store, await this.#client.watchPresence(userIds));
    } catch {
      // Presence is asked for again after the next catching up.
    }
  }
}
