// The user's own settings of a conversation.
// This file contains mute, notifications, pin and archive.

import { h, setText } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { muteText } from '../../lib/time.js';
import { isArchived, isMuted } from '../../state/conversations.js';
import { openMenu } from '../menu.js';
import { section } from '../section.js';
import { switchRow } from '../switch.js';
import { toastOnError } from '../toast.js';

const HOUR_MS = 3_600_000;
const MUTES = [
  ['For an hour', HOUR_MS],
  ['For 8 hours', 8 * HOUR_MS],
  ['For a week', 7 * 24 * HOUR_MS],
  ['For good', null],
];
const LEVELS = [
  ['all', 'All'],
  ['mentions', 'Mentions'],
  ['none', 'Nothing'],
];

export function ownSettings({ id, app: { actions }, conversation }) {
  const muteState = h('span', { class: 'field-hint' });
  const mute = h('button', { type: 'button', class: 'button soft', on: { click: () => muteOrUnmute() } });
  const pinned = switchRow({
    label: 'Keep at the top of the list',
    change: (on) => toastOnError(actions.pinConversation(id, on)),
    afterChange: update,
  });
  const archived = switchRow({
    label: 'Archive',
    hint: 'Hides it from the list until somebody writes here. While it is muted, it stays hidden.',
    change: (on) => toastOnError(actions.archive(id, on)),
    afterChange: update,
  });
  const levels = LEVELS.map(([value, label]) => {
    const input = h('input', {
      type: 'radio',
      name: `notify-${id}`,
      value,
      on: { change: () => toastOnError(actions.notifyLevel(id, value)).then(update) },
    });
    return { value, input, element: h('label', { class: 'choice' }, input, h('span', { textContent: label })) };
  });
  const element = section(
    'For you',
    h('div', { class: 'setting-row' }, h('span', {}, 'Mute', muteState), mute),
    h(
      'fieldset',
      { class: 'plain' },
      h('legend', { class: 'field-label', textContent: 'Notify me about messages' }),
      h(
        'div',
        { class: 'choices' },
        levels.map((level) => level.element),
      ),
    ),
    pinned.element,
    archived.element,
  );

  function muteOrUnmute() {
    if (isMuted(conversation())) {
      toastOnError(actions.unmute(id));
      return;
    }
    openMenu({
      label: 'Mute',
      at: mute,
      items: MUTES.map(([label, length]) => ({
        label,
        run: () => toastOnError(actions.mute(id, length === null ? null : new Date(Date.now() + length))),
      })),
    });
  }

  function update() {
    const now = conversation();
    if (!now) return;
    const muted = isMuted(now);
    setText(muteState, muted ? muteText(now.my.muted_until) : 'Messages are counted and announced.');
    const label = muted ? 'Unmute' : 'Mute…';
    if (mute.textContent !== label) mute.replaceChildren(icon(muted ? 'bell' : 'muted', 18), label);
    pinned.show(now.my.pinned);
    archived.show(isArchived(now));
    for (const { value, input } of levels) input.checked = now.my.notify === value;
  }

  return { element, update };
}
