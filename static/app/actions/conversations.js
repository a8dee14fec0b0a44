// What one does with a conversation as a whole.
// Lives here: starting, changing, muting, archiving, pinning, leaving. May not live here: its messages and members.

import { uuid } from '../../sdk/ids.js';
import { to } from '../router.js';
import { conversationLoaded, isMuted, previewLoaded, settingsChanged, unreadKnown } from '../state/conversations.js';
import { mentionNoted, unreadMentions } from '../state/mentions.js';

/** Conversations that are searched for mentions after a long absence. */
const SEARCHED = 20;
/** Unread messages of each that are searched. */
const DEPTH = 100;

export function conversationActions({ client, store, router }) {
  const enter = (conversation) => {
    conversationLoaded(store, conversation);
    client.sync.adopt(conversation);
    router.go(to.conversation(conversation.id));
  };
  /** The answer shows the change at once; the event that follows says the same. */
  const settle = async (answer) => {
    const conversation = await answer;
    settingsChanged(store, { conversation_id: conversation.id, my: conversation.my });
  };

  /** Conversations whose unread count is asked for, and whether more was hidden meanwhile. */
  const settling = new Map();
  /** The group that was asked for and not answered: asked for again, it is the same one. */
  let pending = null;

  return {
    startDirect: async (userId) => enter(await client.api.createDirect(userId)),

    async createGroup(name, userIds) {
      const body = JSON.stringify([name, userIds]);
      if (pending?.body !== body) pending = { body, tempId: uuid() };
      const made = await client.api.createGroup(name, userIds, pending.tempId);
      pending = null;
      enter(made);
    },

    async updateConversation(id, fields) {
      conversationLoaded(store, await client.api.updateConversation(id, fields));
    },

    async leave(id) {
      await client.api.leave(id);
      if (router.route.id === id) router.back(to.home());
    },

    archive: (id, on) => settle(client.api.archive(id, on)),
    pinConversation: (id, on) => settle(client.api.pinConversation(id, on)),
    mute: (id, until) => settle(client.api.mute(id, until)),
    unmute: (id) => settle(client.api.unmute(id)),
    notifyLevel: (id, level) => settle(client.api.notifyLevel(id, level)),
    stats: (id) => client.api.stats(id),

    /** Who is added to a conversation is told of it without what was said last in it. */
    async loadPreview(id) {
      try {
        previewLoaded(store, await client.api.conversation(id));
      } catch {
        // The row says so much less until the next message.
      }
    },

    /**
     * Whether a conversation is put away depends on what came before what, and that is told in two streams: after a
     * change, and when a mute ends, the server's own word settles it.
     */
    async settleArchived(id) {
      try {
        const { last_seq, last_rev, my } = await client.api.conversation(id);
        const known = store.state.conversations.get(id);
        if (!known || last_rev < known.seen) return;
        settingsChanged(store, { conversation_id: id, my });
        known.archivedSeq = isMuted({ my }) ? known.archivedSeq : last_seq;
      } catch {
        // It stays as it is until the next change of it.
      }
    },

    /** What is unread where a message was hidden that is not loaded here; of many at once the last is asked about. */
    async settleUnread(id) {
      const underWay = settling.has(id);
      settling.set(id, underWay);
      if (underWay) return;
      try {
        for (let again = true; again; again = settling.get(id)) {
          settling.set(id, false);
          unreadKnown(store, await client.api.conversation(id));
        }
      } catch {
        // It stays too high until the conversation is read.
      }
      settling.delete(id);
    },

    /** Which unread messages mention the user: the list does not say, so those conversations are looked through. */
    async findMentions() {
      try {
        const { mentions } = await client.api.unreadCount();
        let missing = mentions;
        const unread = [...store.state.conversations.values()].filter(({ unread_count }) => unread_count > 0);
        for (const { id, my } of unread.slice(0, SEARCHED)) {
          if (missing <= 0) return;
          const { items } = await client.api.messages(id, { after: my.last_read_seq, limit: DEPTH });
          for (const message of items) mentionNoted(store, message);
          missing -= unreadMentions(store.state, { id, my });
        }
      } catch {
        // The mark is a help; without it the unread count still tells.
      }
    },
  };
}
