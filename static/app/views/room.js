// One conversation on the screen.
// This file contains the head (title, presence, typing), and connects the message list and the text box.

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { plural } from '../lib/text.js';
import { ago } from '../lib/time.js';
import { to } from '../router.js';
import { isMuted, titleOf } from '../state/conversations.js';
import { avatar, presenceDot, updatePresenceDot } from './avatar.js';
import { mountComposer } from './composer.js';
import { avatarOf, typingText } from './conversation-row.js';
import { openDetails } from './details/index.js';
import { mountMessages } from './messages.js';

export function mountRoom(pane, id, app) {
  const { store, actions, client } = app;
  const title = h('h2', { class: 'room-title', tabIndex: -1 });
  const subtitle = h('p', { class: 'room-subtitle' });
  const muted = h(
    'span',
    { class: 'room-muted', title: 'Muted', hidden: true },
    icon('muted', 18),
    h('span', { class: 'sr-only', textContent: 'Muted' }),
  );
  const avatarBox = h('span', { class: 'room-face' });
  const dot = presenceDot();
  const details = h(
    'button',
    {
      type: 'button',
      class: 'icon-button',
      hidden: true,
      on: { click: () => openDetails(id, app, { onShow: (target) => messages.show(target) }) },
    },
    icon('info', 22),
  );
  const typing = h('p', { class: 'typing-line' });
  const body = h('div', { class: 'room-body' });
  const foot = h('div', { class: 'room-foot' }, typing);
  const room = h(
    'section',
    { class: 'room', 'aria-label': 'Conversation', on: { keydown: onEscape } },
    h(
      'header',
      { class: 'room-head' },
      h(
        'a',
        { class: 'icon-button back', href: to.home(), data: { back: '' }, 'aria-label': 'Back to all conversations' },
        icon('back', 22),
      ),
      avatarBox,
      h('div', { class: 'room-names' }, title, subtitle),
      muted,
      details,
    ),
    body,
    foot,
  );
  pane.append(room);

  const messages = mountMessages(body, id, app, {
    onReply: (message) => composer.replyTo(message),
    onEdit: (message) => composer.edit(message),
  });
  const composer = mountComposer(foot, id, app, { onSent: () => messages.toEnd() });

  /** Escape reads all. If all is read, it gives the focus to the list of conversations. */
  function onEscape(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || messages.readAll()) return;
    document.querySelector('.conversation[aria-current]')?.focus();
  }

  let avatarKey = null;
  function showHead() {
    const conversation = store.state.conversations.get(id);
    if (!conversation) return;
    const name = titleOf(conversation);
    const subject = avatarOf(conversation);
    setText(title, name);
    setAttribute(room, 'aria-label', `Conversation with ${name}`);
    if (avatarKey !== `${name} ${subject.url}`)
      fill(avatarBox, avatar(subject, { fileToken: client.connection.fileToken }), conversation.peer && dot);
    avatarKey = `${name} ${subject.url}`;
    const label = conversation.type === 'direct' ? 'Conversation details' : 'Group details';
    details.hidden = false;
    setAttribute(details, 'aria-label', label);
    setAttribute(details, 'title', label);
    muted.hidden = !isMuted(conversation);
    if (conversation.peer) updatePresenceDot(dot, presenceOf(conversation.peer).status);
    setText(subtitle, conversation.type === 'direct' ? directStatus(conversation) : groupStatus(conversation));
  }

  function presenceOf(peer) {
    return store.state.presence.get(peer.id) ?? { status: peer.presence, last_seen_at: peer.last_seen_at };
  }

  function directStatus({ peer, my }) {
    if (!peer || my.blocked) return '';
    const { status, last_seen_at } = presenceOf(peer);
    if (status === 'online') return 'Online';
    if (status === 'away') return 'Away';
    return last_seen_at ? `Last seen ${ago(last_seen_at)}` : 'Offline';
  }

  function groupStatus({ member_count }) {
    const items = store.state.members.get(id)?.items ?? [];
    const online = items.filter(
      ({ user }) => user.id !== store.state.me?.id && store.state.presence.get(user.id)?.status === 'online',
    ).length;
    return online > 0 ? `${plural(member_count, 'member')}, ${online + 1} online` : plural(member_count, 'member');
  }

  function showTyping() {
    const conversation = store.state.conversations.get(id);
    const names = [...(store.state.typing.get(id)?.values() ?? [])];
    const shown = conversation && names.length > 0;
    typing.classList.toggle('shown', Boolean(shown));
    fill(
      typing,
      shown && [
        h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')),
        conversation.type === 'direct' ? `${names[0]} is typing…` : typingText(conversation, names),
      ],
    );
  }

  let membersNeeded = true;
  function loadMembersOnce() {
    const conversation = store.state.conversations.get(id);
    if (!membersNeeded || !conversation || conversation.type === 'direct' || !store.state.connection.upToDate) return;
    membersNeeded = false;
    actions.loadMembers(id);
  }

  const stops = [
    store.watch(['conversations', 'presence', `room:${id}`, `members:${id}`, 'me'], showHead),
    store.watch([`typing:${id}`, 'conversations'], showTyping),
    store.watch(['conversations', 'connection'], loadMembersOnce),
  ];
  // "Last seen 5 minutes ago" changes without an event.
  const clock = setInterval(showHead, 60_000);
  showHead();
  showTyping();
  loadMembersOnce();
  if (store.state.isListLoaded) actions.openRoom(id);
  else stops.push(openWhenListed(store, id, actions));
  focusRoom();

  return () => {
    clearInterval(clock);
    for (const stop of stops) stop();
    messages.stop();
    composer.stop();
  };
}

/** Gives the focus to the text box. On a phone, whose keyboard would cover the messages, the heading gets it. */
export function focusRoom() {
  const box = document.querySelector('.composer-box');
  const wide = matchMedia('(min-width: 50rem)').matches;
  if (wide) box?.focus({ preventScroll: true });
  if (!wide || document.activeElement !== box) document.querySelector('.room-title')?.focus({ preventScroll: true });
}

/** Waits until the list is loaded before it opens a room, so that the conversation of the room is known. */
function openWhenListed(store, id, actions) {
  const unwatch = store.watch(['conversations'], () => {
    if (!store.state.isListLoaded) return;
    unwatch();
    actions.openRoom(id);
  });
  return unwatch;
}

