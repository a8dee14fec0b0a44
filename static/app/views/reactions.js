// Reactions below a message.
// This file contains one button for each emoji, which adds or removes the user's reaction. It must not contain what a
// click does (message-events.js), or choosing an emoji (emoji-picker.js).

import { h } from '../lib/dom.js';
import { emojiName } from '../lib/emoji.js';
import { icon } from '../lib/icons.js';
import { plural } from '../lib/text.js';

/** @param {{mayWrite: boolean}} context */
export function reactionBar(item, { mayWrite }) {
  if (!item.reactions?.length) return null;
  return h(
    'div',
    { class: 'reactions', role: 'group', 'aria-label': 'Reactions' },
    item.reactions.map((reaction) => toggle(reaction, mayWrite)),
    mayWrite &&
      h(
        'button',
        {
          type: 'button',
          class: 'reaction reaction-add',
          'aria-label': 'Add a reaction',
          title: 'Add a reaction',
          tabIndex: -1,
          data: { action: 'react', part: 'add-reaction' },
        },
        icon('plus', 15),
      ),
  );
}

function toggle({ emoji, count, me }, mayWrite) {
  return h(
    'button',
    {
      type: 'button',
      class: 'reaction',
      'aria-pressed': String(Boolean(me)),
      'aria-label': `${emojiName(emoji)}, ${plural(count, 'reaction')}`,
      'aria-disabled': mayWrite ? null : 'true',
      tabIndex: -1,
      data: { action: 'toggle', emoji, part: `reaction ${emoji}` },
    },
    h('span', { class: 'reaction-emoji', 'aria-hidden': 'true', textContent: emoji }),
    h('span', { class: 'reaction-count', 'aria-hidden': 'true', textContent: String(count) }),
    h('span', { class: 'tip', role: 'tooltip' }),
  );
}
