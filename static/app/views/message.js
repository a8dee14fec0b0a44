// One message on the screen.
// Lives here: the bubble — author, quote, text with links, time, how far it got, what went wrong. May not live here:
// which messages there are, or how they group (messages.js).

import { fill, h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { isEmojiOnly, linkParts } from '../lib/text.js';
import { exactTime, timeOfDay } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { sentenceFor, systemText } from './words.js';

const STATUS = {
  queued: ['clock', 'Waiting to be sent'],
  sending: ['clock', 'Sending'],
  sent: ['check', 'Sent'],
  delivered: ['checks', 'Delivered'],
  seen: ['checks', 'Seen'],
};

/** An element for a message row; `updateMessage` fills it. */
export function createMessage() {
  return h('div', { class: 'message' });
}

/**
 * @param {HTMLElement} element
 * @param {{item: object, own: boolean, first: boolean, last: boolean, grouped: boolean}} row `item` is a message, or an
 *   outbox entry in the shape of one; `first` and `last` of a run by one author; `grouped`: names and faces are shown
 * @param {{state: object, fileToken: string|null, onReply: Function, onRetry: Function, onDiscard: Function, onQuote: Function}} context
 */
export function updateMessage(element, row, context) {
  const { item, own, first, last } = row;
  const status = item.state ?? item.status ?? 'sent';
  element.className = [
    'message',
    own ? 'own' : 'other',
    first && 'first',
    last && 'last',
    item.state && 'pending',
    item.state === 'failed' && 'failed',
    item.deleted_at && 'deleted',
  ]
    .filter(Boolean)
    .join(' ');
  if (item.seq) element.dataset.seq = item.seq;
  fill(
    element,
    !own && row.grouped && face(item, last, context),
    h(
      'div',
      { class: 'message-column' },
      h(
        'div',
        { class: 'message-line' },
        h(
          'div',
          { class: `bubble ${!item.deleted_at && !item.reply_to && isEmojiOnly(item.content) ? 'emoji' : ''}` },
          author(row, context),
          item.reply_to && quote(item.reply_to, context),
          body(item),
          meta(item, own, status),
        ),
        item.seq && !item.deleted_at && replyButton(item, context),
      ),
      item.state === 'failed' && failure(item, context),
    ),
  );
}

/** A line that tells of the group itself. */
export function updateSystem(element, { item }, { state }) {
  element.className = 'system';
  element.dataset.seq = item.seq;
  fill(element, h('p', { textContent: systemText(item, state), title: exactTime(item.created_at) }));
}

/** The words of a message, as elements: plain text and links. */
function contentNodes(content) {
  return linkParts(content).map(({ text, href }) =>
    href ? h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow', textContent: text }) : text,
  );
}

function face(item, last, { state, fileToken }) {
  if (!last) return h('span', { class: 'avatar-gap' });
  const user = state.people.get(item.sender_id) ?? item.sender;
  return avatar(
    { id: item.sender_id, name: nameOf(user) ?? '?', url: user?.avatar_url },
    { fileToken, className: 'small' },
  );
}

/** Who wrote it: for the eye only where it is not plain, for the ear always. */
function author({ item, own, first, grouped }, { state }) {
  const name = own ? 'You' : (nameOf(state.people.get(item.sender_id) ?? item.sender) ?? 'Deleted account');
  const shown = first && grouped && !own;
  return h('span', { class: shown ? 'message-author' : 'sr-only', textContent: shown ? name : `${name}: ` });
}

function quote({ id, sender_id, content, type }, { state, onQuote }) {
  const name = sender_id === state.me?.id ? 'You' : (nameOf(state.people.get(sender_id)) ?? 'Somebody');
  const text = content || (type === 'text' ? 'Message deleted' : 'Attachment');
  return h(
    'button',
    { type: 'button', class: 'quote', on: { click: () => onQuote(id) } },
    h('span', { class: 'sr-only', textContent: 'In reply to ' }),
    h('span', { class: 'quote-author', textContent: name }),
    h('span', { class: 'quote-text', dir: 'auto', textContent: text }),
  );
}

function body(item) {
  if (item.deleted_at) return h('span', { class: 'message-text', textContent: 'Message deleted' });
  if (item.content) return h('span', { class: 'message-text', dir: 'auto' }, contentNodes(item.content));
  return h('span', {
    class: 'message-text aside',
    textContent: 'This message has content that this page cannot show yet.',
  });
}

function meta(item, own, status) {
  const [name, label] = STATUS[status] ?? STATUS.sent;
  const mark = own && !item.deleted_at && status !== 'failed';
  return h(
    'span',
    { class: 'message-meta' },
    item.edited_at && !item.deleted_at && h('span', { textContent: 'edited' }),
    h('time', {
      datetime: item.created_at,
      title: exactTime(item.created_at),
      textContent: timeOfDay(item.created_at),
    }),
    mark &&
      h(
        'span',
        { class: `status status-${status}`, title: label },
        icon(name, 15),
        h('span', { class: 'sr-only', textContent: label }),
      ),
  );
}

function replyButton(item, { onReply }) {
  return h(
    'button',
    {
      type: 'button',
      class: 'reply-button',
      'aria-label': 'Reply',
      title: 'Reply',
      on: { click: () => onReply(item) },
    },
    icon('reply', 17),
  );
}

function failure(item, { onRetry, onDiscard }) {
  return h(
    'div',
    { class: 'failure' },
    icon('alert', 16),
    h('span', { textContent: `Not delivered. ${sentenceFor(item.error)}` }),
    h('button', { type: 'button', class: 'link-button', textContent: 'Try again', on: { click: () => onRetry(item) } }),
    h('button', { type: 'button', class: 'link-button', textContent: 'Discard', on: { click: () => onDiscard(item) } }),
  );
}
