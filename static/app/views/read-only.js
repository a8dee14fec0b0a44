// The note instead of the text box, for a user who may not write.
// This file shows the reason, and a button that ends an own block. It must not decide who may write (lib/rights.js).

import { fill, h } from '../lib/dom.js';
import { nameOf } from '../state/conversations.js';
import { toastOnError } from './toast.js';

export function readOnlyNote({ store, actions }) {
  const element = h('div', { class: 'read-only', role: 'note', hidden: true });
  let shown = null;

  /** @param {object|null} conversation null if the user may write */
  function show(conversation) {
    const text = conversation && reasonFor(conversation, store.state);
    const own = conversation?.my.blocked && store.state.blocks.has(conversation.peer?.id);
    const key = `${text} ${own}`;
    if (key === shown) return;
    shown = key;
    element.hidden = !text;
    fill(
      element,
      text && h('p', { textContent: text }),
      own &&
        h('button', {
          type: 'button',
          class: 'button soft',
          textContent: 'Unblock',
          on: { click: () => toastOnError(actions.unblock(conversation.peer.id)) },
        }),
    );
  }

  return { element, show };
}

function reasonFor({ my, class: classInfo, peer }, { blocks }) {
  if (my.blocked && blocks.has(peer?.id)) return `You blocked ${nameOf(peer)}. Unblock to write again.`;
  if (my.blocked) return 'You cannot write to this person.';
  if (classInfo?.archived) return 'This class is archived, so nobody can write here.';
  return 'You can read here, but not write.';
}
