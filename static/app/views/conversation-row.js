// One conversation in the list.
// This file contains its row: avatar, name, preview, time, and the marks for unread, muted and pinned. It must not
// contain the list (conversations.js), or counts (state/).

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { nameList, plural } from '../lib/text.js';
import { exactTime, shortTime } from '../lib/time.js';
import { to } from '../router.js';
import { isMuted, nameOf, titleOf } from '../state/conversations.js';
import { unreadMentions } from '../state/mentions.js';
import { avatar, presenceDot, updatePresenceDot } from './avatar.js';
import { systemText } from './texts.js';

/** @returns {HTMLElement & {update: (conversation: object) => void}} */
export function conversationRow({ id }, { store, router, client }) {
  const link = h('a', { class: 'conversation', href: to.conversation(id), data: { id } });
  const avatarBox = h('span', { class: 'conversation-face' });
  const dot = presenceDot();
  const name = h('span', { class: 'conversation-name' });
  const time = h('time', { class: 'conversation-time' });
  const preview = h('span', { class: 'conversation-preview' });
  const pinned = mark('pin', 'Pinned');
  const muted = mark('muted', 'Muted');
  const mention = h(
    'span',
    { class: 'badge mention-badge', hidden: true },
    icon('at', 13),
    h('span', { class: 'sr-only', textContent: 'You are mentioned' }),
  );
  const badge = h('span', { class: 'badge' }, h('span', { 'aria-hidden': 'true' }), h('span', { class: 'sr-only' }));
  link.append(
    avatarBox,
    h(
      'span',
      { class: 'conversation-text' },
      h('span', { class: 'conversation-line' }, name, muted, time),
      h('span', { class: 'conversation-line' }, preview, pinned, mention, badge),
    ),
  );
  const element = h('li', {}, link);
  let avatarKey = null;

  element.update = (conversation) => {
    const { state } = store;
    const title = titleOf(conversation);
    const subject = avatarOf(conversation);
    if (avatarKey !== `${title} ${subject.url}`)
      fill(avatarBox, avatar(subject, { fileToken: client.connection.fileToken }), conversation.peer && dot);
    avatarKey = `${title} ${subject.url}`;
    if (conversation.peer)
      updatePresenceDot(dot, state.presence.get(conversation.peer.id)?.status ?? conversation.peer.presence);
    setText(name, title);
    showTime(conversation.last_message?.created_at ?? conversation.created_at);
    const typing = [...(state.typing.get(id)?.values() ?? [])];
    setText(preview, typing.length > 0 ? typingText(conversation, typing) : previewText(conversation, state));
    preview.classList.toggle('typing', typing.length > 0);
    muted.hidden = !isMuted(conversation);
    pinned.hidden = !conversation.my.pinned;
    mention.hidden = unreadMentions(state, conversation) === 0;
    showUnread(conversation.unread_count, isMuted(conversation));
    const open = router.route.name === 'conversation' && router.route.id === id;
    setAttribute(link, 'aria-current', open ? 'page' : null);
  };

  function showTime(at) {
    setText(time, shortTime(at));
    setAttribute(time, 'datetime', at);
    setAttribute(time, 'title', exactTime(at));
  }

  function showUnread(unread, isSilent) {
    badge.hidden = unread === 0;
    badge.classList.toggle('muted', isSilent);
    setText(badge.firstChild, unread > 99 ? '99+' : String(unread));
    setText(badge.lastChild, plural(unread, 'unread message'));
    link.classList.toggle('unread', unread > 0 && !isSilent);
  }

  return element;
}

/** Returns what the avatar of a conversation shows: the peer, or the group. */
export function avatarOf(conversation) {
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

function mark(name, label) {
  return h(
    'span',
    { class: 'conversation-mark', title: label, hidden: true },
    icon(name, 15),
    h('span', { class: 'sr-only', textContent: label }),
  );
}

function previewText(conversation, state) {
  const { last_message: last } = conversation;
  if (!last) return conversation.type === 'direct' ? 'Say hello' : 'New group';
  // The list does not say whether a message was deleted. A text message without text was.
  if (last.deleted_at || (last.type === 'text' && last.content === '')) return 'Message deleted';
  if (last.type === 'system') return systemText(last, state);
  const text = last.content.replace(/\s+/g, ' ') || 'Attachment';
  if (last.sender_id === state.me?.id) return `You: ${text}`;
  const sender = conversation.type === 'direct' ? null : nameOf(state.people.get(last.sender_id));
  return sender ? `${sender}: ${text}` : text;
}
