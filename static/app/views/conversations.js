// The list of conversations.
// This file contains the list, the list of archived conversations, and moving through them by keyboard. It must not
// contain a row (conversation-row.js), or order and counts (state/conversations.js).

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { keepFocus } from '../lib/focus.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { onLongPress } from '../lib/long-press.js';
import { isArchived, sortedConversations } from '../state/conversations.js';
import { openConversationMenu } from './conversation-menu.js';
import { conversationRow } from './conversation-row.js';

/** @returns {{stop: () => void, focus: () => void}} `focus` gives the focus to the row that had it last */
export function mountConversations(parent, app) {
  const { store, router, onNew } = app;
  const list = h('ul', {
    class: 'conversations',
    role: 'list',
    'aria-label': 'Conversations',
    on: { keydown: moveByKeys, focusin: ({ target }) => setTabStop(target.closest('a')?.dataset.id) },
  });
  const back = h(
    'button',
    { type: 'button', class: 'list-switch', hidden: true, on: { click: () => showArchived(false) } },
    icon('back', 19),
    h('span', { class: 'list-switch-name', textContent: 'Archived' }),
    h('span', { class: 'sr-only', textContent: ', back to all conversations' }),
  );
  const count = h('span', { class: 'list-switch-count' });
  const archivedButton = h(
    'button',
    { type: 'button', class: 'list-switch', hidden: true, on: { click: () => showArchived(true) } },
    icon('archive', 19),
    h('span', { class: 'list-switch-name', textContent: 'Archived' }),
    count,
  );
  const empty = h('div', { class: 'list-empty', hidden: true });
  parent.append(back, list, empty, archivedButton);
  const typingWatches = new Map();
  let archived = false;
  /** The id of the only row that the Tab key reaches, and of the open conversation whose row was scrolled to. */
  let tabStopId = null;
  let revealedId = null;
  let emptyKind = null;

  const create = (conversation) => {
    const row = conversationRow(conversation, app);
    typingWatches.set(conversation.id, store.watch([`typing:${conversation.id}`], update));
    return row;
  };

  function showArchived(value) {
    archived = value;
    update();
    if (archived) back.focus({ preventScroll: true });
    else focus();
  }

  const openId = () => (router.route.name === 'conversation' ? router.route.id : null);
  const linkOf = (id) => id && list.querySelector(`a[data-id="${CSS.escape(id)}"]`);

  /** Makes one row reachable by the Tab key: the one that had the focus last. Arrow keys lead to the others. */
  function setTabStop(id) {
    const link = linkOf(id) ?? linkOf(tabStopId) ?? linkOf(openId()) ?? list.querySelector('a');
    tabStopId = link?.dataset.id ?? null;
    for (const other of list.querySelectorAll('a')) other.tabIndex = other === link ? 0 : -1;
  }

  function reveal() {
    const id = openId();
    if (id === revealedId || (id && !linkOf(id))) return;
    revealedId = id;
    if (id) setTabStop(id);
    linkOf(id)?.scrollIntoView({ block: 'nearest' });
  }

  function focus() {
    const target = linkOf(tabStopId) ?? empty.querySelector('button') ?? archivedButton;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: 'nearest' });
  }

  function update() {
    const archivedOnes = sortedConversations(store.state, { archived: true });
    if (archivedOnes.length === 0) archived = false;
    const conversations = archived ? archivedOnes : sortedConversations(store.state);
    const rows = { key: ({ id }) => id, create, update: (element, item) => element.update(item) };
    const hadFocus = list.contains(document.activeElement);
    keepFocus(list, () => keyedList(list, conversations, rows));
    showEmpty(conversations.length > 0 ? 'none' : store.state.isListLoaded ? 'empty' : 'loading');
    back.hidden = !archived;
    archivedButton.hidden = archived || archivedOnes.length === 0;
    setText(count, String(archivedOnes.length));
    setAttribute(archivedButton, 'aria-label', `Archived, ${archivedOnes.length}`);
    setTabStop(null);
    reveal();
    const present = new Set(conversations.map(({ id }) => id));
    if (hadFocus && !list.contains(document.activeElement)) focus();
    for (const [id, unwatch] of typingWatches) {
      if (present.has(id)) continue;
      unwatch();
      typingWatches.delete(id);
    }
  }

  /** Fills the empty list only after a change, because the button in it may have the focus. */
  function showEmpty(kind) {
    if (kind === emptyKind) return;
    emptyKind = kind;
    empty.hidden = kind === 'none';
    fill(empty, ...(kind === 'empty' ? noConversations(onNew) : kind === 'loading' ? [skeleton()] : []));
  }

  const menu = (link) => {
    const conversation = store.state.conversations.get(link.dataset.id);
    if (conversation) openConversationMenu(conversation, link, app);
  };
  list.addEventListener('contextmenu', (event) => {
    const link = event.target.closest('a[data-id]');
    // This is for the menu key and the right mouse button. A finger uses the long press.
    if (!link || event.defaultPrevented || event.pointerType === 'touch') return;
    event.preventDefault();
    menu(link);
  });
  onLongPress(list, 'a[data-id]', menu);

  update();
  const stops = [store.watch(['conversations', 'presence', 'mentions', 'me'], update), router.onChange(onRoute)];
  // "Today" becomes "Yesterday" even when no message comes.
  const clock = setInterval(update, 60_000);

  /** Shows the list, archived or not, that contains the open conversation. */
  function onRoute() {
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

function noConversations(onNew) {
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
