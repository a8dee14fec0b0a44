// The pinned messages of a conversation.
// This file contains the list, and opening a message from it. It must not contain pinning (message-menu.js).

import { fill, h } from '../../lib/dom.js';
import { keepFocus } from '../../lib/focus.js';
import { icon } from '../../lib/icons.js';
import { mayPin } from '../../lib/rights.js';
import { shortTime } from '../../lib/time.js';
import { nameOf } from '../../state/conversations.js';
import { section } from '../section.js';
import { toastOnError } from '../toast.js';

export function pins({ id, app: { store, actions }, conversation, close, onShow }) {
  const list = h('ul', { class: 'pins', role: 'list', 'aria-label': 'Pinned messages' });
  const hint = h('p', { class: 'people-hint', tabIndex: -1 });
  const element = section('Pinned messages', list, hint);
  let shown = null;

  function update() {
    const known = store.state.pins.get(id);
    if (known?.status === 'stale') actions.loadPins(id);
    const mayUnpin = mayPin(conversation());
    if (shown?.known === known && shown.mayUnpin === mayUnpin) return;
    shown = { known, mayUnpin };
    const texts = { loading: 'Loading…', error: 'The pinned messages could not be loaded.' };
    const empty = known?.items.length > 0 ? '' : 'None yet. A message can be pinned from its menu.';
    hint.textContent = known?.items.length > 0 ? '' : (texts[known?.status] ?? empty);
    const rows = (known?.items ?? []).map((item) => pin(item, mayUnpin));
    keepFocus(list, () => fill(list, rows), hint);
  }

  function pin(item, mayUnpin) {
    const { people, me } = store.state;
    const name = item.sender_id === me?.id ? 'You' : (nameOf(people.get(item.sender_id) ?? item.sender) ?? 'Somebody');
    const openMessage = () => {
      close();
      onShow({ id: item.id, seq: item.seq });
    };
    return h(
      'li',
      { class: 'pin' },
      h(
        'button',
        { type: 'button', class: 'pin-message', on: { click: openMessage } },
        h(
          'span',
          { class: 'pin-head' },
          h('span', { class: 'quote-author', textContent: name }),
          h('time', { class: 'person-handle', datetime: item.created_at, textContent: shortTime(item.created_at) }),
        ),
        h('span', { class: 'quote-text', dir: 'auto', textContent: item.content || 'Attachment' }),
      ),
      mayUnpin &&
        h(
          'button',
          {
            type: 'button',
            class: 'icon-button small',
            'aria-label': 'Unpin this message',
            title: 'Unpin',
            on: { click: () => toastOnError(actions.pinMessage(item, false)) },
          },
          icon('close', 18),
        ),
    );
  }

  actions.loadPins(id);
  return { element, update };
}
