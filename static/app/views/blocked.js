// The users whom this user has blocked.
// This file contains their list in the settings, and unblocking. It must not contain blocking
// (details/leave-or-block.js).

import { h, setText } from '../lib/dom.js';
import { keepFocus } from '../lib/focus.js';
import { keyedList } from '../lib/keyed.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { section } from './section.js';
import { toastOnError } from './toast.js';
import { errorText } from './texts.js';

/** @returns {{element: Element, stop: () => void}} */
export function blockedPeople({ store, actions, client }) {
  const list = h('ul', { class: 'people', role: 'list', 'aria-label': 'Blocked people' });
  const hint = h('p', { class: 'people-hint', role: 'status', tabIndex: -1 });

  const row = ({ user }) => {
    const name = nameOf(user);
    return h(
      'li',
      { class: 'person' },
      avatar({ id: user.id, name, url: user.avatar_url }, { fileToken: client.connection.fileToken }),
      h(
        'span',
        { class: 'person-text' },
        h('span', { class: 'person-name', textContent: name }),
        h('span', { class: 'person-handle', textContent: `@${user.username}` }),
      ),
      h('button', {
        type: 'button',
        class: 'button quiet',
        'aria-label': `Unblock ${name}`,
        textContent: 'Unblock',
        on: { click: () => toastOnError(actions.unblock(user.id)) },
      }),
    );
  };

  const update = () => {
    const blocks = [...store.state.blocks.values()];
    keepFocus(list, () => keyedList(list, blocks, { key: ({ user }) => user.id, create: row }), hint);
    setText(hint, blocks.length === 0 ? 'Nobody. To block somebody, open the details of your conversation.' : '');
  };

  update();
  actions.loadBlocks().catch((error) => setText(hint, errorText(error)));
  return { element: section('Blocked people', list, hint), stop: store.watch(['blocks'], update) };
}
