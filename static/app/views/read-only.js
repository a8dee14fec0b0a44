// Where the text box would be for somebody who may not write.
// Lives here: the note that says why, and undoing a block of one's own. May not live here: who may write (lib/rights.js).

import { fill, h } from '../lib/dom.js';
import { nameOf } from '../state/conversations.js';
import { complain } from './toast.js';

export function readOnlyNote({ store, actions }) {
  const element = h('div', { class: 'read-only', role: 'note', hidden: true });
  let shown = null;

  /** @param {object|null} conversation null: one may write */
  function show(conversation) {
    const text = conversation && why(conversation, store.state);
    const own = conversation?.my.blocked && store.state.blocks.has(conversation.peer?.id);
    const look = `${text} ${own}`;
    if (look === shown) return;
    shown = look;
    element.hidden = !text;
    fill(
      element,
      text && h('p', { textContent: text }),
      own &&
        h('button', {
          type: 'button',
          class: 'button soft',
          textContent: 'Unblock',
          on: { click: () => complain(actions.unblock(conversation.peer.id)) },
        }),
    );
  }

  return { element, show };
}

function why({ my, class: kept, peer }, { blocks }) {
  if (my.blocked && blocks.has(peer?.id)) return `You blocked ${nameOf(peer)}. Unblock to write again.`;
  if (my.blocked) return 'You cannot write to this person.';
  if (kept?.archived) return 'This class is archived, so nobody can write here.';
  return 'You can read here, but not write.';
}
