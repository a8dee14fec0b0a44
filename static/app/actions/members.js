// What the user does with the participants of a conversation.
// This file contains loading, adding and removing members, their roles, and watching their presence. It must not
// contain blocks (accounts.js).

import { setMembers, setMembersStatus } from '../state/members.js';
import { setPresences } from '../state/people.js';

/** The most members that are listed and watched. The server watches no more for one session. */
const MAX_LISTED_MEMBERS = 1000;

export function memberActions({ client, store }, actions) {
  const watch = async (userIds) => {
    const others = userIds.filter((id) => id !== store.state.me?.id).slice(0, MAX_LISTED_MEMBERS);
    if (others.length === 0) return;
    try {
      setPresences(store, await client.watchPresence(others));
    } catch {
      // Presence is requested again when the client is up to date the next time.
    }
  };

  return {
    async loadMembers(id) {
      setMembersStatus(store, id, store.state.members.get(id)?.status === 'ready' ? 'ready' : 'loading');
      try {
        const items = await client.api.members(id, { limit: MAX_LISTED_MEMBERS });
        setMembers(store, id, items);
        await watch(items.map(({ user }) => user.id));
      } catch {
        if (store.state.members.get(id)?.status === 'loading') setMembersStatus(store, id, 'error');
      }
    },

    async addMembers(id, userIds) {
      await client.api.addMembers(id, userIds);
      await actions.loadMembers(id);
    },

    removeMember: (id, userId) => client.api.removeMember(id, userId),
    setRole: (id, userId, role) => client.api.setRole(id, userId, role),

    /**
     * Requests presence again when the client is up to date. Presence is not in the log, so `sync` does not bring it.
     */
    async refreshPresence() {
      const ids = new Set();
      for (const { peer } of store.state.conversations.values()) if (peer) ids.add(peer.id);
      for (const { items } of store.state.members.values()) for (const { user } of items) ids.add(user.id);
      await watch([...ids]);
    },
  };
}
