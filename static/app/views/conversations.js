// The list of conversations.
// Lives here: one row per conversation — face, name, preview, time, unread — and moving through it by keyboard.
// May not live here: order and counts (state/conversations.js).

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { exactTime, shortTime } from '../lib/time.js';
import { nameList, plural } from '../lib/text.js';
import { to } from '../router.js';
import { isMuted, nameOf, sortedConversations, titleOf } from '../state/conversations.js';
import { avatar, presenceDot, updatePresenceDot } from './avatar.js';
import { systemText } from './words.js';

export function mountConversations(parent, { store, router, client, onNew }) {
  const list = h('ul', {
    class: 'conversations',
    role: 'list',
    'aria-label': 'Conversations',
    on: { keydown: moveByKeys },
  });
  const empty = h('div', { class: 'list-empty', hidden: true });
  parent.append(list, empty);
  const typingWatches = new Map();

  const row = (conversation) => {
    const parts = {
      link: h('a', { class: 'conversation', href: to.conversation(conversation.id) }),
      face: h('span', { class: 'conversation-face' }),
      dot: presenceDot(),
      name: h('span', { class: 'conversation-name' }),
      time: h('time', { class: 'conversation-time' }),
      preview: h('span', { class: 'conversation-preview' }),
      badge: h('span', { class: 'badge' }, h('span', { 'aria-hidden': 'true' }), h('span', { class: 'sr-only' })),
    };
    parts.link.append(
      parts.face,
      h(
        'span',
        { class: 'conversation-text' },
        h('span', { class: 'conversation-line' }, parts.name, parts.time),
        h('span', { class: 'conversation-line' }, parts.preview, parts.badge),
      ),
    );
    const element = h('li', {}, parts.link);
    element.parts = parts;
    typingWatches.set(conversation.id, store.watch([`typing:${conversation.id}`], update));
    return element;
  };

  const updateRow = ({ parts }, conversation) => {
    const { state } = store;
    const title = titleOf(conversation);
    const face = faceOf(conversation);
    const look = `${title} ${face.url}`;
    if (parts.look !== look)
      fill(parts.face, avatar(face, { fileToken: client.connection.fileToken }), conversation.peer && parts.dot);
    parts.look = look;
    if (conversation.peer)
      updatePresenceDot(parts.dot, state.presence.get(conversation.peer.id)?.status ?? conversation.peer.presence);
    setText(parts.name, title);
    const { last_message: last } = conversation;
    const at = last?.created_at ?? conversation.created_at;
    setText(parts.time, shortTime(at));
    setAttribute(parts.time, 'datetime', at);
    setAttribute(parts.time, 'title', exactTime(at));
    const typing = [...(state.typing.get(conversation.id)?.values() ?? [])];
    setText(parts.preview, typing.length > 0 ? typingText(conversation, typing) : previewText(conversation, state));
    parts.preview.classList.toggle('typing', typing.length > 0);
    const { unread_count: unread } = conversation;
    parts.badge.hidden = unread === 0;
    parts.badge.classList.toggle('muted', isMuted(conversation));
    setText(parts.badge.firstChild, unread > 99 ? '99+' : String(unread));
    setText(parts.badge.lastChild, `${plural(unread, 'unread message')}`);
    parts.link.classList.toggle('unread', unread > 0);
    const open = router.route.name === 'conversation' && router.route.id === conversation.id;
    setAttribute(parts.link, 'aria-current', open ? 'page' : null);
  };

  function update() {
    const conversations = sortedConversations(store.state);
    keyedList(list, conversations, { key: ({ id }) => id, create: row, update: updateRow });
    list.hidden = conversations.length === 0;
    empty.hidden = conversations.length > 0;
    if (conversations.length === 0) fill(empty, ...(store.state.listed ? nobodyYet(onNew) : [skeleton()]));
    const present = new Set(conversations.map(({ id }) => id));
    for (const [id, unwatch] of typingWatches) {
      if (present.has(id)) continue;
      unwatch();
      typingWatches.delete(id);
    }
  }

  update();
  const stops = [store.watch(['conversations', 'presence', 'me'], update), router.onChange(update)];
  // "Today" becomes "Yesterday" also while nobody writes.
  const clock = setInterval(update, 60_000);
  return () => {
    clearInterval(clock);
    for (const stop of [...stops, ...typingWatches.values()]) stop();
  };
}

/** What stands for a conversation: the other one, or the group. */
export function faceOf(conversation) {
  if (conversation.type === 'direct') {
    const { peer } = conversation;
    return { id: peer?.id ?? conversation.id, name: nameOf(peer) ?? '?', url: peer?.avatar_url };
  }
  return { id: conversation.id, name: conversation.name ?? '', url: conversation.avatar_url, group: true };
}

export function typingText(conversation, names) {
  if (conversation.type === 'direct') return 'typing…';
  return `${nameList(names, 2)} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

function previewText(conversation, state) {
  const { last_message: last } = conversation;
  if (!last) return conversation.type === 'direct' ? 'Say hello' : 'New group';
  if (last.deleted_at) return 'Message deleted';
  if (last.type === 'system') return systemText(last, state);
  const text = last.content.replace(/\s+/g, ' ') || 'Attachment';
  if (last.sender_id === state.me?.id) return `You: ${text}`;
  const sender = conversation.type === 'direct' ? null : nameOf(state.people.get(last.sender_id));
  return sender ? `${sender}: ${text}` : text;
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
