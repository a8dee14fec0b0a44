// Showing a conversation.
// This file contains loading the messages that the user needs, and the marks that follow from what is on the screen. It
// must not contain what the user does with a message (messages.js).

import { putConversation, moveReadMark } from '../state/conversations.js';
import { hasAfter, hasBefore } from '../state/message-window.js';
import { coversMark, getRoom, keptPlace, readsAbove, showHistory, showPage, touchRoom, updateRoom } from '../state/rooms.js';

/** The number of messages of the first page around the read mark: enough for a large screen on both sides. */
const AROUND_LIMIT = 80;
/** In a conversation with more members the server counts no delivered marks. */
const MAX_MEMBERS_WITH_MARKS = 100;

export function roomActions({ client, store }, actions) {
  const room = (id) => getRoom(store.state, id);

  /** Whether the first unread message is not loaded, though the user comes to read it. */
  const needsMark = (id) => {
    const conversation = store.state.conversations.get(id);
    return conversation?.unread_count > 0 && !keptPlace(room(id), conversation) && !coversMark(room(id), conversation);
  };

  async function load(id, { limit, ...request }) {
    const newest = Math.max(room(id).newest, store.state.conversations.get(id)?.last_seq ?? 0);
    const page = await client.api.messages(id, { ...request, limit });
    if (store.state.conversations.has(id)) showPage(store, id, page, request, newest);
  }

  return {
    /**
     * Loads what a room needs to be shown: its conversation, and the messages around the read mark, or the newest ones
     * if all are read. What is loaded already stays, with the place where the user stopped reading.
     */
    async openRoom(id) {
      touchRoom(store, id);
      const { status } = room(id);
      if (status === 'loading' || (status === 'ready' && !needsMark(id))) return;
      updateRoom(store, id, { status: 'loading' });
      try {
        if (!store.state.conversations.has(id)) putConversation(store, await client.api.conversation(id));
        const { unread_count, my } = store.state.conversations.get(id);
        await load(id, unread_count > 0 ? { around: my.last_read_seq + 1, limit: AROUND_LIMIT } : {});
      } catch (error) {
        const isMissing = [400, 403, 404].includes(error.status);
        updateRoom(store, id, { status: isMissing ? 'missing' : 'error' });
      }
    },

    async loadOlder(id) {
      const { status, olderStatus, from } = room(id);
      if (status !== 'ready' || olderStatus === 'loading' || !hasBefore(room(id))) return;
      updateRoom(store, id, { olderStatus: 'loading' });
      await load(id, { before: from }).catch(() => updateRoom(store, id, { olderStatus: 'error' }));
    },

    /** Loads the messages that follow, where the room does not reach to the newest one. */
    async loadNewer(id) {
      const { status, newerStatus, to } = room(id);
      if (status !== 'ready' || newerStatus === 'loading' || !hasAfter(room(id))) return;
      updateRoom(store, id, { newerStatus: 'loading' });
      await load(id, { after: to }).catch(() => updateRoom(store, id, { newerStatus: 'error' }));
    },

    /** Loads the messages around a `seq`, because the user follows a quote or a pinned message. */
    loadAround: (id, seq) => load(id, { around: seq }),

    /** Loads the newest messages, because the user leaves an old place for the end. */
    loadNewest: (id) => load(id, {}),

    /**
     * Replaces a conversation by the one that the server sent again, with its messages. A user who reads above stays
     * there.
     */
    async replaceConversation({ conversation, page }) {
      putConversation(store, conversation);
      const { id } = conversation;
      if (store.state.members.has(id)) actions.loadMembers(id);
      if (store.state.pins.has(id)) actions.loadPins(id);
      if (!store.state.rooms.has(id)) return;
      const { view } = room(id);
      const above = readsAbove(room(id), page) && (await client.api.messages(id, { around: view.first }).catch(() => null));
      if (store.state.rooms.has(id)) showHistory(store, id, above || page);
    },

    /** Marks the whole conversation as read, because the user said so: by sending, or by going to the end. */
    markAllRead(id) {
      const conversation = store.state.conversations.get(id);
      if (conversation) actions.markRead(id, conversation.last_seq);
    },

    /** Marks everything up to `seq` as read, because the user has seen it. */
    markRead(id, seq) {
      const conversation = store.state.conversations.get(id);
      if (!conversation || conversation.my.last_read_seq >= seq) return;
      moveReadMark(store, { conversation_id: id, last_read_seq: seq });
      client.receipts.read(id, seq);
    },

    /** Acknowledges that messages of others up to `seq` reached this device. */
    markDelivered(id, seq) {
      const conversation = store.state.conversations.get(id);
      if (conversation && conversation.member_count <= MAX_MEMBERS_WITH_MARKS) client.receipts.delivered(id, seq);
    },
  };
}
