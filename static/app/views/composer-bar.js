// The bar above the text box.
// This file shows the message that is being answered or edited, and a button to cancel. It must not contain the text
// box.

import { fill, h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { nameOf } from '../state/conversations.js';

export function composerBar(store, { onCancel }) {
  const element = h('div', { class: 'reply-bar', hidden: true });

  /** @param {{kind: 'reply'|'edit', message: object}|null} target null hides the bar */
  function show(target) {
    element.hidden = target === null;
    if (!target) return fill(element);
    const { kind, message } = target;
    return fill(
      element,
      icon(kind, 18),
      h(
        'span',
        { class: 'reply-bar-text' },
        h('span', {
          class: 'reply-bar-name',
          textContent: kind === 'edit' ? 'Editing your message' : `Replying to ${authorOf(message, store.state)}`,
        }),
        h('span', { dir: 'auto', textContent: message.content }),
      ),
      h(
        'button',
        {
          type: 'button',
          class: 'icon-button',
          'aria-label': kind === 'edit' ? 'Do not edit' : 'Do not reply',
          on: { click: onCancel },
        },
        icon('close', 18),
      ),
    );
  }

  return { element, show };
}

function authorOf({ sender_id }, { me, people }) {
  return sender_id === me?.id ? 'yourself' : (nameOf(people.get(sender_id)) ?? 'somebody');
}
