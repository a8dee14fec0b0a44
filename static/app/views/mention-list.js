// Names after an @.
// This file contains the list of users whom the user can mention while writing. Arrow keys move through it while the
// cursor stays in the text. It must not contain the text box, or what counts as a mention (lib/mentions.js).

import { h, setAttribute, uniqueId } from '../lib/dom.js';
import { isInputMethodKey } from '../lib/keyboard.js';
import { mentionAtCursor, mentionCandidates } from '../lib/mentions.js';
import { mayMentionAll } from '../lib/rights.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';

const EVERYBODY = { id: 'all', username: 'all', display_name: 'Everybody here' };

/** @returns {{stop: () => void}} */
export function mountMentionList(parent, box, id, { store, client }) {
  const listId = uniqueId('mentions');
  const list = h('ul', {
    id: listId,
    class: 'mention-list',
    role: 'listbox',
    'aria-label': 'People to mention',
    hidden: true,
  });
  parent.append(list);
  setAttribute(box, 'aria-autocomplete', 'list');
  setAttribute(box, 'aria-controls', listId);
  let candidates = [];
  let current = 0;
  let start = 0;
  /** The position of the @ at which the user pressed Escape. No list is shown there any more. */
  let closedAt = null;

  function people() {
    const { members, conversations, me } = store.state;
    const conversation = conversations.get(id);
    if (!conversation) return [];
    const users =
      conversation.type === 'direct' ? [conversation.peer] : (members.get(id)?.items ?? []).map(({ user }) => user);
    const others = users.filter((user) => user && user.id !== me?.id);
    return mayMentionAll(conversation) ? [...others, EVERYBODY] : others;
  }

  function update() {
    const typed = box.selectionStart === box.selectionEnd ? mentionAtCursor(box.value, box.selectionStart) : null;
    if (!typed || typed.start !== closedAt) closedAt = null;
    candidates = typed && closedAt === null ? mentionCandidates(people(), typed.query) : [];
    start = typed?.start ?? 0;
    current = 0;
    show();
  }

  function show() {
    list.hidden = candidates.length === 0;
    list.replaceChildren(...candidates.map(option));
    setAttribute(box, 'aria-activedescendant', candidates.length > 0 ? `${listId}-${current}` : null);
    list.children[current]?.scrollIntoView({ block: 'nearest' });
  }

  function option(user, index) {
    const name = nameOf(user);
    return h(
      'li',
      {
        id: `${listId}-${index}`,
        class: 'mention-option',
        role: 'option',
        'aria-selected': String(index === current),
        // The text box keeps the focus.
        on: { pointerdown: (event) => event.preventDefault(), click: () => choose(user) },
      },
      user === EVERYBODY
        ? h('span', { class: 'avatar small mention-all', 'aria-hidden': 'true', textContent: '@' })
        : avatar(
            { id: user.id, name, url: user.avatar_url },
            { fileToken: client.connection.fileToken, className: 'small' },
          ),
      h('span', { class: 'person-name', textContent: name }),
      h('span', { class: 'person-handle', textContent: `@${user.username}` }),
    );
  }

  function choose({ username }) {
    const end = box.selectionStart;
    const space = /^\s/.test(box.value.slice(end)) ? '' : ' ';
    box.setRangeText(`@${username}${space}`, start, end, 'end');
    box.dispatchEvent(new Event('input', { bubbles: true }));
    box.focus();
  }

  function onKey(event) {
    if (list.hidden || isInputMethodKey(event)) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) current = (current + step + candidates.length) % candidates.length;
    else if (event.key === 'Escape') {
      closedAt = start;
      candidates = [];
    } else if ((event.key === 'Enter' && !event.shiftKey) || event.key === 'Tab') choose(candidates[current]);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (step || event.key === 'Escape') show();
  }

  const hide = () => {
    candidates = [];
    show();
  };
  box.addEventListener('input', update);
  box.addEventListener('click', update);
  box.addEventListener('keydown', onKey);
  box.addEventListener('keyup', (event) => ['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key) && update());
  box.addEventListener('blur', hide);
  const unwatch = store.watch([`members:${id}`], () => document.activeElement === box && update());
  return { stop: unwatch };
}
