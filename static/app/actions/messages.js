// What one does with messages.
// Lives here: sending, editing, deleting, reacting, pinning, asking about one. May not live here: which messages are
// loaded (rooms.js).

import { isCommon } from '../lib/emoji.js';
import { pinsLoaded, pinsStatus } from '../state/pins.js';
import { met } from '../state/people.js';
import { reactionWished, reactionsLoaded } from '../state/reactions.js';

export function messageActions({ client, store }) {
  return {
    send(conversationId, content, replyTo) {
      client.send({ conversation_id: conversationId, content, reply_to_id: replyTo?.id });
    },

    retry: (tempId) => client.outbox.retry(tempId),
    discard: (tempId) => client.outbox.remove(tempId),
    typed: (conversationId) => client.typing.keystroke(conversationId),
    stoppedTyping: () => client.typing.stop(),

    edit: ({ conversation_id, id }, content) => client.edit({ conversation_id, message_id: id, content }),
    deleteMessage: ({ conversation_id, id }, who) => client.delete({ conversation_id, message_id: id }, who),

    /**
     * Shown at once where the spelling is known to be the server's, which has one for every emoji; and put right by the
     * server's word if that is another.
     */
    async react({ conversation_id, id }, emoji, on) {
      const reaction = { conversation_id, message_id: id, emoji };
      const shown = !on || isCommon(emoji);
      if (shown) reactionWished(store, reaction, on);
      try {
        const { action } = await client.react(reaction, on);
        if (action !== 'unchanged') return;
      } catch (error) {
        if (shown) reactionWished(store, reaction, !on);
        throw error;
      }
      const { reactions } = await client.api.message(id);
      reactionsLoaded(store, { conversation_id, id, reactions });
    },

    pinMessage: ({ conversation_id, id }, on) => client.api.pinMessage(conversation_id, id, on),

    async loadPins(id) {
      pinsStatus(store, id, 'loading');
      try {
        const items = await client.api.pins(id);
        met(
          store,
          items.map(({ sender }) => sender),
        );
        pinsLoaded(store, id, items);
      } catch {
        pinsStatus(store, id, 'error');
      }
    },

    history: ({ conversation_id, id }) => client.api.history(conversation_id, id),
    receipts: ({ conversation_id, id }) => client.api.receipts(conversation_id, id),
    reactions: ({ conversation_id, id }) => client.api.reactions(conversation_id, id),
  };
}
