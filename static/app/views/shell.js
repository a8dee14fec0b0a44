// The frame of the app.
// This file contains the two panes (list and room), the change between them on a phone, and the connection bar.

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
import { showToast } from './toast.js';

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

  const showProfile = () => {
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

  let unmountPane = () => {};
  const showRoute = (navigated) => {
    // Close dialogs first: no element behind an open dialog can take the focus.
    closeDialogs();
    unmountPane();
    pane.replaceChildren();
    const { route } = router;
    const inRoom = route.name === 'conversation';
    panes.dataset.showing = inRoom ? 'room' : 'list';
    unmountPane = inRoom ? mountRoom(pane, route.id, app) : showEmptyPane(pane);
    if (navigated && !inRoom) list.focus();
  };

  showProfile();
  showRoute(false);
  const stops = [
    stopBanner,
    list.stop,
    store.watch(['me'], showProfile),
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
    unmountPane();
    for (const stop of stops) stop();
  };
}

function showEmptyPane(pane) {
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

/** Shows a note and goes back to the list when the user is removed from the open conversation. */
function watchRemoval({ store, router }) {
  let previous = null;
  const update = () => {
    const { name, id } = router.route;
    const now = name === 'conversation' ? store.state.conversations.get(id) : null;
    const gone = previous !== null && previous.id === id && store.state.isListLoaded && !now;
    if (gone) {
      showToast(`You are no longer in “${previous.title}”.`);
      router.back(to.home());
    }
    previous = now ? { id, title: titleOf(now) } : null;
  };
  const stops = [store.watch(['conversations'], update), router.onChange(update)];
  return () => stops.forEach((stop) => stop());
}

/**
 * Announces new messages in other conversations to screen readers. The message list of the open room announces
 * its own. Each time a new element is added, because the same text in the old one would be no change. An old
 * announcement is removed.
 */
function announceUnread(root, store) {
  const announcer = h('div', { class: 'sr-only', role: 'status' });
  root.append(announcer);
  let before = null;
  return store.watch(['conversations'], () => {
    const unread = new Set();
    for (const conversation of store.state.conversations.values())
      if (conversation.unread_count > 0 && !isMuted(conversation) && !isArchived(conversation))
        unread.add(conversation.id);
    const more = before !== null && [...unread].some((id) => !before.has(id));
    if (more) fill(announcer, h('p', { textContent: plural(unread.size, 'unread conversation') }));
    else if (before !== null && unread.size < before.size) fill(announcer);
    before = unread;
  });
}
