// Showing a conversation.
// Lives here: loading the messages a reader needs, and the acknowledgements that follow from what is on the screen.
// May not live here: what one does with a message (messages.js).

import { conversationLoaded, readMoved } from '../state/conversations.js';
import { newerLoaded, newestLoaded, olderLoaded, roomOf, roomStatus, windowLoaded } from '../state/rooms.js';

/** Above this many members the server counts no delivery marks. */
const MARKED_MEMBERS = 100;

export function roomActions({ client, store }, actions) {
  const room = (id) => roomOf(store.state, id);

  return {
    /** Makes sure that a room can be shown: its conversation and its newest messages. */
    async openRoom(id) {
      if (room(id).status === 'ready' || room(id).status === 'loading') return;
      roomStatus(store, id, { status: 'loading' });
      try {
        if (!store.state.conversations.has(id)) conversationLoaded(store, await client.api.conversation(id));
        const page = await client.api.messages(id);
        if (store.state.conversations.has(id)) newestLoaded(store, id, page);
      } catch (error) {
        const missing = [400, 403, 404].includes(error.status);
        roomStatus(store, id, { status: missing ? 'missing' : 'error' });
      }
    },

    async loadOlder(id) {
      const { status, older, hasBefore, items } = room(id);
      if (status !== 'ready' || older === 'loading' || !hasBefore || items.length === 0) return;
      roomStatus(store, id, { older: 'loading' });
      try {
        const before = items[0].seq;
        olderLoaded(store, id, await client.api.messages(id, { before }), before);
      } catch {
        roomStatus(store, id, { older: 'error' });
      }
    },

    /** After a jump into the past: what follows below. */
    async loadNewer(id) {
      const { status, newer, hasAfter, items } = room(id);
      if (status !== 'ready' || newer === 'loading' || !hasAfter || items.length === 0) return;
      roomStatus(store, id, { newer: 'loading', missed: false });
      try {
        const after = items.at(-1).seq;
        newerLoaded(store, id, await client.api.messages(id, { after }), after);
      } catch {
        roomStatus(store, id, { newer: 'error' });
      }
    },

    /** Shows the messages around a place, for whoever follows a quote or a pinned message there. */
    async loadAround(id, seq) {
      roomStatus(store, id, { missed: false });
      windowLoaded(store, id, await client.api.messages(id, { around: seq }));
    },

    /** Back from the past. */
    async loadNewest(id) {
      roomStatus(store, id, { missed: false });
      newestLoaded(store, id, await client.api.messages(id));
    },

    /** A conversation as the server describes it anew, with its messages. */
    reloaded({ conversation, page }) {
      conversationLoaded(store, conversation);
      const { id } = conversation;
      if (store.state.rooms.has(id)) newestLoaded(store, id, page);
      if (store.state.members.has(id)) actions.loadMembers(id);
      if (store.state.pins.has(id)) actions.loadPins(id);
    },

    /** Everything up to `seq` is on the screen of somebody who is looking. */
    sawUpTo(id, seq) {
      const conversation = store.state.conversations.get(id);
      if (!conversation || conversation.my.last_read_seq >= seq) return;
      readMoved(store, { conversation_id: id, last_read_seq: seq });
      client.receipts.read(id, seq);
    },

    /** Another's message reached this device. */
    received(id, seq) {
      const conversation = store.state.conversations.get(id);
      if (conversation && conversation.member_count <= MARKED_MEMBERS) client.receipts.delivered(id, seq);
    },
  };
}
