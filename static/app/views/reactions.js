// Reactions below a message.
// This file contains one button for each emoji, which adds or removes the user's reaction. The names of the users are
// loaded when the pointer or the focus is on a button. It must not contain choosing an emoji (emoji-picker.js).

import { h, setText } from '../lib/dom.js';
import { emojiName } from '../lib/emoji.js';
import { icon } from '../lib/icons.js';
import { plural } from '../lib/text.js';

/** @param {{mayWrite: boolean, onReact: Function, onPicker: Function, reactorNames: Function}} context */
export function reactionBar(item, context) {
  if (!item.reactions?.length) return null;
  return h(
    'div',
    { class: 'reactions', role: 'group', 'aria-label': 'Reactions' },
    item.reactions.map((reaction) => toggle(item, reaction, context)),
    context.mayWrite &&
      h(
        'button',
        {
          type: 'button',
          class: 'reaction reaction-add',
          'aria-label': 'Add a reaction',
          title: 'Add a reaction',
          tabIndex: -1,
          data: { part: 'add-reaction' },
          on: { click: (event) => context.onPicker(item, event.currentTarget) },
        },
        icon('plus', 15),
      ),
  );
}

function toggle(item, { emoji, count, me }, { mayWrite, onReact, reactorNames }) {
  const tip = h('span', { class: 'tip', role: 'tooltip' });
  const button = h(
    'button',
    {
      type: 'button',
      class: 'reaction',
      'aria-pressed': String(Boolean(me)),
      'aria-label': `${emojiName(emoji)}, ${plural(count, 'reaction')}`,
      'aria-disabled': mayWrite ? null : 'true',
      tabIndex: -1,
      data: { part: `reaction ${emoji}` },
      on: { click: () => mayWrite && onReact(item, emoji, !me) },
    },
    h('span', { class: 'reaction-emoji', 'aria-hidden': 'true', textContent: emoji }),
    h('span', { class: 'reaction-count', 'aria-hidden': 'true', textContent: String(count) }),
    tip,
  );
  let isRequested = false;
  const loadNames = async () => {
    if (isRequested) return;
    isRequested = true;
    const names = await reactorNames(item, emoji);
    if (!names) return;
    setText(tip, names);
    button.setAttribute('aria-description', names);
  };
  button.addEventListener('pointerenter', loadNames);
  button.addEventListener('focus', loadNames);
  return button;
}
