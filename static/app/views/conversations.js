// The list of conversations.
// Lives here: the list, its other half with those put away, and moving through it by keyboard. May not live here: one row
// (conversation-row.js), order and counts (state/conversations.js).

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { keepFocus } from '../lib/focus.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { onLongPress } from '../lib/press.js';
import { isArchived, sortedConversations } from '../state/conversations.js';
import { openConversationMenu } from './conversation-menu.js';
import { conversationRow } from './conversation-row.js';

/** @returns {{stop: () => void, focus: () => void}} `focus` goes to where one was in the list */
export function mountConversations(parent, app) {
  const { store, router, onNew } = app;
  const list = h('ul', {
    class: 'conversations',
    role: 'list',
    'aria-label': 'Conversations',
    on: { keydown: moveByKeys, focusin: ({ target }) => stopAt(target.closest('a')?.dataset.id) },
  });
  const back = h(
    'button',
    { type: 'button', class: 'list-switch', hidden: true, on: { click: () => turn(false) } },
    icon('back', 19),
    h('span', { class: 'list-switch-name', textContent: 'Archived' }),
    h('span', { class: 'sr-only', textContent: ', back to all conversations' }),
  );
  const count = h('span', { class: 'list-switch-count' });
  const entry = h(
    'button',
    { type: 'button', class: 'list-switch', hidden: true, on: { click: () => turn(true) } },
    icon('archive', 19),
    h('span', { class: 'list-switch-name', textContent: 'Archived' }),
    count,
  );
  const empty = h('div', { class: 'list-empty', hidden: true });
  parent.append(back, list, empty, entry);
  const typingWatches = new Map();
  let archived = false;
  /** Id of the one row in the order of tabs, and of the open one that was brought into sight. */
  let stop = null;
  let revealed = null;
  let emptyLook = null;

  const create = (conversation) => {
    const row = conversationRow(conversation, app);
    typingWatches.set(conversation.id, store.watch([`typing:${conversation.id}`], update));
    return row;
  };

  function turn(to) {
    archived = to;
    update();
    if (archived) back.focus({ preventScroll: true });
    else focus();
  }

  const openId = () => (router.route.name === 'conversation' ? router.route.id : null);
  const linkOf = (id) => id && list.querySelector(`a[data-id="${CSS.escape(id)}"]`);

  /** Tab comes to one row, where one was last; arrows lead to the others. */
  function stopAt(id) {
    const link = linkOf(id) ?? linkOf(stop) ?? linkOf(openId()) ?? list.querySelector('a');
    stop = link?.dataset.id ?? null;
    for (const other of list.querySelectorAll('a')) other.tabIndex = other === link ? 0 : -1;
  }

  function reveal() {
    const id = openId();
    if (id === revealed || (id && !linkOf(id))) return;
    revealed = id;
    if (id) stopAt(id);
    linkOf(id)?.scrollIntoView({ block: 'nearest' });
  }

  function focus() {
    const target = linkOf(stop) ?? empty.querySelector('button') ?? entry;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: 'nearest' });
  }

  function update() {
    const away = sortedConversations(store.state, { archived: true });
    if (away.length === 0) archived = false;
    const conversations = archived ? away : sortedConversations(store.state);
    const rows = { key: ({ id }) => id, create, update: (element, item) => element.update(item) };
    const within = list.contains(document.activeElement);
    keepFocus(list, () => keyedList(list, conversations, rows));
    showEmpty(conversations.length > 0 ? 'none' : store.state.listed ? 'nobody' : 'loading');
    back.hidden = !archived;
    entry.hidden = archived || away.length === 0;
    setText(count, String(away.length));
    setAttribute(entry, 'aria-label', `Archived, ${away.length}`);
    stopAt(null);
    reveal();
    const present = new Set(conversations.map(({ id }) => id));
    if (within && !list.contains(document.activeElement)) focus();
    for (const [id, unwatch] of typingWatches) {
      if (present.has(id)) continue;
      unwatch();
      typingWatches.delete(id);
    }
  }

  /** Made anew only when it is another: the button in it may have the focus. */
  function showEmpty(look) {
    if (look === emptyLook) return;
    emptyLook = look;
    empty.hidden = look === 'none';
    fill(empty, ...(look === 'nobody' ? nobodyYet(onNew) : look === 'loading' ? [skeleton()] : []));
  }

  const menu = (link) => {
    const conversation = store.state.conversations.get(link.dataset.id);
    if (conversation) openConversationMenu(conversation, link, app);
  };
  list.addEventListener('contextmenu', (event) => {
    const link = event.target.closest('a[data-id]');
    // The menu key and the second button of a mouse; a finger comes by its long press.
    if (!link || event.defaultPrevented || event.pointerType === 'touch') return;
    event.preventDefault();
    menu(link);
  });
  onLongPress(list, 'a[data-id]', menu);

  update();
  const stops = [store.watch(['conversations', 'presence', 'mentions', 'me'], update), router.onChange(shown)];
  // "Today" becomes "Yesterday" also while nobody writes.
  const clock = setInterval(update, 60_000);

  /** The half of the list that holds the open conversation is the one that is shown. */
  function shown() {
    const open = store.state.conversations.get(openId());
    if (open) archived = isArchived(open);
    update();
  }

  return {
    focus,
    stop() {
      clearInterval(clock);
      for (const end of [...stops, ...typingWatches.values()]) end();
    },
  };
}

function nobodyYet(onNew) {
  return [
    h('p', { class: 'list-empty-title', textContent: 'It is quiet here' }),
    h('p', { textContent: 'Find somebody you know and say hello.' }),
    h(
      'button',
      { type: 'button', class: 'button soft', textContent: 'Start talking', on: { click: onNew } },
      icon('search', 18),
    ),
  ];
}

function skeleton() {
  return h(
    'div',
    { class: 'skeleton', role: 'status' },
    h('span', { class: 'sr-only', textContent: 'Loading conversations' }),
    [1, 2, 3, 4].map(() =>
      h(
        'div',
        { class: 'skeleton-row' },
        h('span', { class: 'skeleton-face' }),
        h('span', { class: 'skeleton-lines' }),
      ),
    ),
  );
}

function moveByKeys(event) {
  const links = [...event.currentTarget.querySelectorAll('a')];
  const index = links.indexOf(document.activeElement);
  if (index === -1) return;
  const target = { ArrowDown: links[index + 1], ArrowUp: links[index - 1], Home: links[0], End: links.at(-1) }[
    event.key
  ];
  if (!target) return;
  event.preventDefault();
  target.focus();
}
