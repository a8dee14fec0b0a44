// The app's frame.
// Lives here: the two panes — list and room — their swap on a phone, and the connection's strip.
// May not live here: what is inside the panes.

import { fill, h, setAttribute } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { plural } from '../lib/text.js';
import { isArchived, isMuted, nameOf, titleOf } from '../state/conversations.js';
import { to } from '../router.js';
import { avatar } from './avatar.js';
import { mountBanner } from './banner.js';
import { mountConversations } from './conversations.js';
import { closeDialogs } from './dialog.js';
import { openNewConversation } from './new-conversation.js';
import { mountRoom } from './room.js';
import { openSettings } from './settings.js';
import { say } from './toast.js';

export function mountShell(root, app) {
  const { store, router } = app;
  const onNew = () => openNewConversation(app);
  const profile = h('button', { type: 'button', class: 'profile-button', on: { click: () => openSettings(app) } });
  const sidebar = h(
    'nav',
    { class: 'sidebar', 'aria-label': 'Sidebar' },
    h(
      'header',
      { class: 'sidebar-head' },
      h('h1', { class: 'brand small' }, h('span', { class: 'brand-mark' }, icon('leaf', 20)), 'Greenroom'),
      h(
        'button',
        {
          type: 'button',
          class: 'icon-button',
          'aria-label': 'New conversation',
          title: 'New conversation',
          on: { click: onNew },
        },
        icon('compose', 22),
      ),
    ),
  );
  const listBox = h('div', { class: 'sidebar-list' });
  const pane = h('main', { class: 'pane' });
  const panes = h('div', { class: 'panes' }, sidebar, pane);
  const shell = h('div', { class: 'shell' });
  root.append(shell);
  const stopBanner = mountBanner(shell, app);
  sidebar.append(listBox, h('footer', { class: 'sidebar-foot' }, profile));
  shell.append(panes);
  const list = mountConversations(listBox, { ...app, onNew });

  const showMe = () => {
    const { me } = store.state;
    const name = nameOf(me) || 'You';
    fill(
      profile,
      avatar(
        { id: me?.id ?? '', name, url: me?.avatar_url },
        { fileToken: app.client.connection.fileToken, className: 'small' },
      ),
      h(
        'span',
        { class: 'profile-text' },
        h('span', { class: 'profile-name', textContent: name }),
        h('span', { class: 'profile-handle', textContent: me?.username ? `@${me.username}` : '' }),
      ),
      icon('settings', 20),
    );
    setAttribute(profile, 'aria-label', `Settings for ${name}`);
  };

  let leaveRoom = () => {};
  const showRoute = (arrived) => {
    // First, for behind an open dialog nothing takes the focus.
    closeDialogs();
    leaveRoom();
    pane.replaceChildren();
    const { route } = router;
    const inRoom = route.name === 'conversation';
    panes.dataset.showing = inRoom ? 'room' : 'list';
    leaveRoom = inRoom ? mountRoom(pane, route.id, app) : showNothing(pane);
    if (arrived && !inRoom) list.focus();
  };

  showMe();
  showRoute(false);
  const stops = [
    stopBanner,
    list.stop,
    store.watch(['me'], showMe),
    router.onChange(() => showRoute(true)),
    watchRemoval(app),
    announceUnread(root, store),
  ];
  const onKey = (event) => {
    if (event.key !== 'k' || !(event.ctrlKey || event.metaKey) || document.querySelector('dialog')) return;
    event.preventDefault();
    onNew();
  };
  document.addEventListener('keydown', onKey);
  return () => {
    document.removeEventListener('keydown', onKey);
    closeDialogs();
    leaveRoom();
    for (const stop of stops) stop();
  };
}

function showNothing(pane) {
  pane.append(
    h(
      'div',
      { class: 'pane-empty' },
      h('span', { class: 'pane-empty-mark' }, icon('leaf', 44)),
      h('p', { class: 'pane-empty-title', textContent: 'Pick a conversation' }),
      h('p', { textContent: 'Or start a new one with somebody you know.' }),
    ),
  );
  return () => {};
}

/** Whoever is removed from the conversation on the screen is told so, and goes back to the list. */
function watchRemoval({ store, router }) {
  let was = null;
  const update = () => {
    const { name, id } = router.route;
    const now = name === 'conversation' ? store.state.conversations.get(id) : null;
    const gone = was !== null && was.id === id && store.state.listed && !now;
    if (gone) {
      say(`You are no longer in “${was.title}”.`);
      router.back(to.home());
    }
    was = now ? { id, title: titleOf(now) } : null;
  };
  const stops = [store.watch(['conversations'], update), router.onChange(update)];
  return () => stops.forEach((stop) => stop());
}

/**
 * New messages elsewhere are said to those who listen rather than look; the open room's log says its own. Each time it is
 * a new element, because the same words in the old one would be no change; and what is not true any more goes.
 */
function announceUnread(root, store) {
  const voice = h('div', { class: 'sr-only', role: 'status' });
  root.append(voice);
  let before = null;
  return store.watch(['conversations'], () => {
    const waiting = new Set();
    for (const conversation of store.state.conversations.values())
      if (conversation.unread_count > 0 && !isMuted(conversation) && !isArchived(conversation))
        waiting.add(conversation.id);
    const more = before !== null && [...waiting].some((id) => !before.has(id));
    if (more) fill(voice, h('p', { textContent: plural(waiting.size, 'unread conversation') }));
    else if (before !== null && waiting.size < before.size) fill(voice);
    before = waiting;
  });
}
