// What the user does with messages.
// This file contains sending, editing, deleting, reacting, pinning, and loading details of one message. It must not
// contain which messages are loaded (rooms.js).

import { isCommon } from '../lib/emoji.js';
import { setPins, setPinsStatus } from '../state/pins.js';
import { rememberUsers } from '../state/people.js';
import { showOwnReaction, setReactions } from '../state/reactions.js';

export function messageActions({ client, store }) {
  return {
    send(conversationId, content, replyTo) {
      client.send({ conversation_id: conversationId, content, reply_to_id: replyTo?.id });
    },

    retry: (tempId) => client.outbox.retry(tempId),
    discard: (tempId) => client.outbox.remove(tempId),
    noteKeystroke: (conversationId) => client.typing.keystroke(conversationId),
    stopTyping: () => client.typing.stop(),

    edit: ({ conversation_id, id }, content) => client.edit({ conversation_id, message_id: id, content }),
    deleteMessage: ({ conversation_id, id }, scope) => client.delete({ conversation_id, message_id: id }, scope),

    /**
     * Adds or removes a reaction. It is shown immediately if the emoji has the same spelling on the server, which uses
     * one for each emoji. If the server answers that nothing changed, its reactions are loaded.
     */
    async react({ conversation_id, id }, emoji, on) {
      const reaction = { conversation_id, message_id: id, emoji };
      const isShown = !on || isCommon(emoji);
      if (isShown) showOwnReaction(store, reaction, on);
      try {
        const { action } = await client.react(reaction, on);
        if (action !== 'unchanged') return;
      } catch (error) {
        if (isShown) showOwnReaction(store, reaction, !on);
        throw error;
      }
      const { reactions } = await client.api.message(id);
      setReactions(store, { conversation_id, id, reactions });
    },

    pinMessage: ({ conversation_id, id }, on) => client.api.pinMessage(conversation_id, id, on),

    async loadPins(id) {
      setPinsStatus(store, id, 'loading');
      try {
        const items = await client.api.pins(id);
        rememberUsers(
          store,
          items.map(({ sender }) => sender),
        );
        setPins(store, id, items);
      } catch {
        setPinsStatus(store, id, 'error');
      }
    },

    history: ({ conversation_id, id }) => client.api.history(conversation_id, id),
    receipts: ({ conversation_id, id }) => client.api.receipts(conversation_id, id),
    reactions: ({ conversation_id, id }) => client.api.reactions(conversation_id, id),
  };
}
