// One's account and the people one has blocked.
// Lives here: signing in and out, profile, devices, blocks. May not live here: conversations.

import { forgetDrafts } from '../lib/drafts.js';
import { forgetEmoji } from '../lib/emoji.js';
import { blocked, blocksLoaded, unblocked } from '../state/blocks.js';
import { met } from '../state/people.js';

export function accountActions({ client, store }) {
  return {
    register: (fields) => client.auth.register(fields),
    login: (fields) => client.auth.login(fields),

    async signOut() {
      const { me, outbox } = store.state;
      for (const entries of outbox.values()) for (const { temp_id } of entries) client.outbox.remove(temp_id);
      const told = client.auth.logout();
      if (me) forgetDrafts(me.id);
      forgetEmoji();
      await told;
    },

    /** Messages that signing out would throw away. */
    unsent: () => [...store.state.outbox.values()].reduce((sum, entries) => sum + entries.length, 0),

    rename: (display_name) => client.api.updateMe({ display_name }),
    shareReceipts: (share_read_receipts) => client.api.updateMe({ share_read_receipts }),
    changePassword: (current, next) => client.api.changePassword(current, next),
    sessions: () => client.api.sessions(),
    revokeSession: (id) => client.api.revokeSession(id),

    reconnect: () => client.connection.connect(),

    /** @returns {Promise<object[]>} without oneself */
    async findPeople(query, signal) {
      const users = await client.api.searchUsers(query, { signal });
      met(store, users);
      return users.filter(({ id }) => id !== store.state.me?.id);
    },

    async loadBlocks() {
      blocksLoaded(store, await client.api.blocks());
    },

    async block(userId) {
      blocked(store, await client.api.block(userId));
    },

    async unblock(userId) {
      await client.api.unblock(userId);
      unblocked(store, userId);
    },
  };
}
