// Showing a conversation.
// This file contains loading the messages that the user needs, and the marks that follow from what is on the screen. It
// must not contain what the user does with a message (messages.js).

import { putConversation, moveReadMark } from '../state/conversations.js';
import {
  addNewerPage,
  addOlderPage,
  getRoom,
  reachesBackTo,
  setReadingSeq,
  showNewestPage,
  showPageAround,
  updateRoom,
} from '../state/rooms.js';

/** In a conversation with more members the server counts no delivered marks. */
const MAX_MEMBERS_WITH_MARKS = 100;
/** With more unread messages, the newest page would show too little of what the user has read before them. */
const MAX_UNREAD_ON_NEWEST_PAGE = 40;

export function roomActions({ client, store }, actions) {
  const room = (id) => getRoom(store.state, id);

  return {
    /**
     * Loads what a room needs to be shown: its conversation, and its newest messages, or those around the first unread
     * one if it is far from them.
     */
    async openRoom(id) {
      const known = store.state.conversations.get(id);
      const isMarkMissing = known?.unread_count > 0 && !reachesBackTo(room(id), known.my.last_read_seq);
      if (room(id).status === 'loading' || (room(id).status === 'ready' && !isMarkMissing)) return;
      updateRoom(store, id, { status: 'loading' });
      try {
        if (!store.state.conversations.has(id)) putConversation(store, await client.api.conversation(id));
        const { unread_count, my } = store.state.conversations.get(id);
        const isFar = unread_count > MAX_UNREAD_ON_NEWEST_PAGE;
        const page = await client.api.messages(id, isFar ? { around: my.last_read_seq + 1 } : {});
        if (!store.state.conversations.has(id)) return;
        if (isFar) showPageAround(store, id, page);
        else showNewestPage(store, id, page);
      } catch (error) {
        const isMissing = [400, 403, 404].includes(error.status);
        updateRoom(store, id, { status: isMissing ? 'missing' : 'error' });
      }
    },

    async loadOlder(id) {
      const { status, olderStatus, hasBefore, items } = room(id);
      if (status !== 'ready' || olderStatus === 'loading' || !hasBefore || items.length === 0) return;
      updateRoom(store, id, { olderStatus: 'loading' });
      try {
        const before = items[0].seq;
        addOlderPage(store, id, await client.api.messages(id, { before }), before);
      } catch {
        updateRoom(store, id, { olderStatus: 'error' });
      }
    },

    /** Loads the messages that follow, after a jump to an old message. */
    async loadNewer(id) {
      const { status, newerStatus, hasAfter, items } = room(id);
      if (status !== 'ready' || newerStatus === 'loading' || !hasAfter || items.length === 0) return;
      updateRoom(store, id, { newerStatus: 'loading', missedLive: false });
      try {
        const after = items.at(-1).seq;
        addNewerPage(store, id, await client.api.messages(id, { after }), after);
      } catch {
        updateRoom(store, id, { newerStatus: 'error' });
      }
    },

    /** Loads the messages around a `seq`, because the user follows a quote or a pinned message. */
    async loadAround(id, seq) {
      updateRoom(store, id, { missedLive: false });
      showPageAround(store, id, await client.api.messages(id, { around: seq }));
    },

    /** Loads the newest messages again, after a jump to an old message. */
    async loadNewest(id) {
      updateRoom(store, id, { missedLive: false });
      showNewestPage(store, id, await client.api.messages(id));
    },

    /** Replaces a conversation by the one that the server sent again, with its messages. */
    replaceConversation({ conversation, page }) {
      putConversation(store, conversation);
      const { id } = conversation;
      if (store.state.rooms.has(id)) showNewestPage(store, id, page);
      if (store.state.members.has(id)) actions.loadMembers(id);
      if (store.state.pins.has(id)) actions.loadPins(id);
    },

    /** Notes the message at which the user reads, null at the end. */
    setReadingSeq: (id, seq) => setReadingSeq(store, id, seq),

    /** Marks everything as read, because the user said so. */
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
