// The user's account and the users whom the user has blocked.
// This file contains signing in and out, profile, devices and blocks.

import { clearDrafts } from '../lib/drafts.js';
import { clearRecentEmoji } from '../lib/emoji.js';
import { addBlock, setBlocks, removeBlock } from '../state/blocks.js';
import { rememberUsers } from '../state/people.js';

export function accountActions({ client, store }) {
  return {
    register: (fields) => client.auth.register(fields),
    login: (fields) => client.auth.login(fields),

    async signOut() {
      const { me, outbox } = store.state;
      for (const entries of outbox.values()) for (const { temp_id } of entries) client.outbox.remove(temp_id);
      const signedOut = client.auth.logout();
      if (me) clearDrafts(me.id);
      clearRecentEmoji();
      await signedOut;
    },

    /** Returns the number of messages that signing out would discard. */
    countUnsent: () => [...store.state.outbox.values()].reduce((sum, entries) => sum + entries.length, 0),

    rename: (display_name) => client.api.updateMe({ display_name }),
    shareReceipts: (share_read_receipts) => client.api.updateMe({ share_read_receipts }),
    changePassword: (current, replacement) => client.api.changePassword(current, replacement),
    sessions: () => client.api.sessions(),
    revokeSession: (id) => client.api.revokeSession(id),

    reconnect: () => client.connection.connect(),

    /** @returns {Promise<object[]>} the users found, without the signed-in user */
    async findPeople(query, signal) {
      const users = await client.api.searchUsers(query, { signal });
      rememberUsers(store, users);
      return users.filter(({ id }) => id !== store.state.me?.id);
    },

    async loadBlocks() {
      setBlocks(store, await client.api.blocks());
    },

    async block(userId) {
      addBlock(store, await client.api.block(userId));
    },

    async unblock(userId) {
      await client.api.unblock(userId);
      removeBlock(store, userId);
    },
  };
}
