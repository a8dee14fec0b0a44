// What one does with the people in a conversation.
// Lives here: loading, adding, removing members, roles, and whose presence is watched. May not live here: blocks
// (accounts.js).

import { membersLoaded, membersStatus } from '../state/members.js';
import { presenceKnown } from '../state/people.js';

/** Of a large class only the first are listed, and the presence of so many is watched; the server watches no more. */
const MOST = 1000;

export function memberActions({ client, store }, actions) {
  const watch = async (userIds) => {
    const others = userIds.filter((id) => id !== store.state.me?.id).slice(0, MOST);
    if (others.length === 0) return;
    try {
      presenceKnown(store, await client.watchPresence(others));
    } catch {
      // Presence is asked for again after the next catching up.
    }
  };

  return {
    async loadMembers(id) {
      membersStatus(store, id, store.state.members.get(id)?.status === 'ready' ? 'ready' : 'loading');
      try {
        const items = await client.api.members(id, { most: MOST });
        membersLoaded(store, id, items);
        await watch(items.map(({ user }) => user.id));
      } catch {
        if (store.state.members.get(id)?.status === 'loading') membersStatus(store, id, 'error');
      }
    },

    async addMembers(id, userIds) {
      await client.api.addMembers(id, userIds);
      await actions.loadMembers(id);
    },

    removeMember: (id, userId) => client.api.removeMember(id, userId),
    setRole: (id, userId, role) => client.api.setRole(id, userId, role),

    /** After each catching up: presence is not in the log, so it is asked for. */
    async refreshPresence() {
      const ids = new Set();
      for (const { peer } of store.state.conversations.values()) if (peer) ids.add(peer.id);
      for (const { items } of store.state.members.values()) for (const { user } of items) ids.add(user.id);
      await watch([...ids]);
    },
  };
}
