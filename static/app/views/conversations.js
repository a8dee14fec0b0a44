// The list of conversations.
// Lives here: the list, its other half with those put away, and moving through it by keyboard. May not live here: one row
// (conversation-row.js), order and counts (state/conversations.js).

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { onLongPress } from '../lib/press.js';
import { isArchived, sortedConversations } from '../state/conversations.js';
import { openConversationMenu } from './conversation-menu.js';
import { conversationRow } from './conversation-row.js';

export function mountConversations(parent, app) {
  const { store, router, onNew } = app;
  const list = h('ul', {
    class: 'conversations',
    role: 'list',
    'aria-label': 'Conversations',
    on: { keydown: moveByKeys },
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

  const create = (conversation) => {
    const row = conversationRow(conversation, app);
    typingWatches.set(conversation.id, store.watch([`typing:${conversation.id}`], update));
    return row;
  };

  function turn(to) {
    archived = to;
    update();
    (archived ? back : (list.querySelector('a') ?? entry)).focus({ preventScroll: true });
  }

  function update() {
    const away = sortedConversations(store.state, { archived: true });
    if (away.length === 0) archived = false;
    const conversations = archived ? away : sortedConversations(store.state);
    keyedList(list, conversations, { key: ({ id }) => id, create, update: (element, item) => element.update(item) });
    list.hidden = conversations.length === 0;
    empty.hidden = conversations.length > 0;
    if (conversations.length === 0) fill(empty, ...(store.state.listed ? nobodyYet(onNew) : [skeleton()]));
    back.hidden = !archived;
    entry.hidden = archived || away.length === 0;
    setText(count, String(away.length));
    setAttribute(entry, 'aria-label', `Archived, ${away.length}`);
    const present = new Set(conversations.map(({ id }) => id));
    for (const [id, unwatch] of typingWatches) {
      if (present.has(id)) continue;
      unwatch();
      typingWatches.delete(id);
    }
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
    const open = router.route.name === 'conversation' && store.state.conversations.get(router.route.id);
    if (open) archived = isArchived(open);
    update();
  }

  return () => {
    clearInterval(clock);
    for (const stop of [...stops, ...typingWatches.values()]) stop();
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
