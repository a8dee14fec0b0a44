// What the user does with a whole conversation.
// This file contains starting, changing, muting, archiving, pinning and leaving.

import { uuid } from '../../sdk/ids.js';
import { to } from '../router.js';
import { putConversation, isMuted, setPreview, updateSettings, setUnreadCount } from '../state/conversations.js';
import { updateMention, unreadMentions } from '../state/mentions.js';

/** The most conversations that are searched for mentions after a long absence. */
const MAX_SEARCHED_CONVERSATIONS = 20;
/** The most unread messages that are searched in each. */
const MAX_SEARCHED_MESSAGES = 100;

export function conversationActions({ client, store, router }) {
  const open = (conversation) => {
    putConversation(store, conversation);
    client.sync.addConversation(conversation);
    router.go(to.conversation(conversation.id));
  };
  /** Shows the change in the answer immediately. The event that follows contains the same. */
  const applyOwnSettings = async (answer) => {
    const conversation = await answer;
    updateSettings(store, { conversation_id: conversation.id, my: conversation.my });
  };

  /** The ids of conversations whose unread count is being loaded, and whether another message was hidden meanwhile. */
  const loadingUnread = new Map();
  /** The group whose creation was not answered yet. If the user repeats it, the server must create only one. */
  let pending = null;

  return {
    startDirect: async (userId) => open(await client.api.createDirect(userId)),

    async createGroup(name, userIds) {
      const body = JSON.stringify([name, userIds]);
      if (pending?.body !== body) pending = { body, tempId: uuid() };
      const conversation = await client.api.createGroup(name, userIds, pending.tempId);
      pending = null;
      open(conversation);
    },

    async updateConversation(id, fields) {
      putConversation(store, await client.api.updateConversation(id, fields));
    },

    async leave(id) {
      await client.api.leave(id);
      if (router.route.id === id) router.back(to.home());
    },

    archive: (id, on) => applyOwnSettings(client.api.archive(id, on)),
    pinConversation: (id, on) => applyOwnSettings(client.api.pinConversation(id, on)),
    mute: (id, until) => applyOwnSettings(client.api.mute(id, until)),
    unmute: (id) => applyOwnSettings(client.api.unmute(id)),
    notifyLevel: (id, level) => applyOwnSettings(client.api.notifyLevel(id, level)),
    stats: (id) => client.api.stats(id),

    /**
     * Loads the newest message of a conversation: the event that adds the user to a conversation does not contain it.
     */
    async loadPreview(id) {
      try {
        setPreview(store, await client.api.conversation(id));
      } catch {
        // Without it the row shows no preview until the next message.
      }
    },

    /**
     * Loads whether a conversation is archived, after a change and when a mute ends. It depends on the order of events
     * in two streams, which the client does not know.
     */
    async refreshArchived(id) {
      try {
        const { last_seq, last_rev, my } = await client.api.conversation(id);
        const old = store.state.conversations.get(id);
        if (!old || last_rev < old.countedRev) return;
        updateSettings(store, { conversation_id: id, my });
        old.archivedSeq = isMuted({ my }) ? old.archivedSeq : last_seq;
      } catch {
        // It stays as it is until its next change.
      }
    },

    /** Loads the unread count after a message was hidden that is not loaded here. Many calls cause few requests. */
    async refreshUnread(id) {
      const isLoading = loadingUnread.has(id);
      loadingUnread.set(id, isLoading);
      if (isLoading) return;
      try {
        for (let again = true; again; again = loadingUnread.get(id)) {
          loadingUnread.set(id, false);
          setUnreadCount(store, await client.api.conversation(id));
        }
      } catch {
        // The count stays too high until the conversation is read.
      }
      loadingUnread.delete(id);
    },

    /**
     * Finds the unread messages that mention the user. The list does not contain them, so unread messages are searched.
     */
    async findMentions() {
      try {
        const { mentions } = await client.api.unreadCount();
        let remaining = mentions;
        const unread = [...store.state.conversations.values()].filter(({ unread_count }) => unread_count > 0);
        for (const { id, my } of unread.slice(0, MAX_SEARCHED_CONVERSATIONS)) {
          if (remaining <= 0) return;
          const { items } = await client.api.messages(id, { after: my.last_read_seq, limit: MAX_SEARCHED_MESSAGES });
          for (const message of items) updateMention(store, message);
          remaining -= unreadMentions(store.state, { id, my });
        }
      } catch {
        // Without the mention mark the unread count is still shown.
      }
    },
  };
}
