// One message in the message list.
// This file contains the bubble with author, quote, text, time, status and errors, and the DOM elements around it. It
// must not contain which messages are shown (messages.js), the nodes of the text (message-text.js), reactions
// (reactions.js), or the menu (message-menu.js).

import { fill, h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { isEmojiOnly } from '../lib/text.js';
import { exactTime, timeOfDay } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { bodyNodes } from './message-text.js';
import { touchMenuButton } from './message-events.js';
import { reactionBar } from './reactions.js';
import { errorTextForCode, systemText } from './texts.js';

const STATUS = {
  queued: ['clock', 'Waiting to be sent'],
  sending: ['clock', 'Sending'],
  sent: ['check', 'Sent'],
  delivered: ['checks', 'Delivered'],
  seen: ['checks', 'Seen'],
};

/** Classes for what happens with the message at this moment, which stay when it is drawn again. */
const MOMENTARY = ['pointed', 'pressed', 'swiping', 'swiped', 'selecting'];

/** Creates the element of a message, which `updateMessage` fills. */
export function createMessage() {
  return h('div', { class: 'message', role: 'article', tabIndex: -1 });
}

/**
 * Shows a message in its element.
 * @param {HTMLElement} element
 * @param {{item: object, own: boolean, first: boolean, last: boolean, grouped: boolean}} row `item`: a message, or an
 *   outbox entry in the same format; `first`, `last`: of a run by one author; `grouped`: names and avatars are shown
 * @param {{state: object, fileToken: string|null, mayWrite: boolean, onDrawn: (element: Element) => void}} context
 *   `onDrawn` is called when the message has new elements. What its buttons do is in message-events.js
 */
export function updateMessage(element, row, context) {
  const { item, own, first, last } = row;
  const status = item.state ?? item.status ?? 'sent';
  const onlyEmoji = !item.deleted_at && !item.reply_to && isEmojiOnly(item.content);
  element.className = [
    'message',
    own ? 'own' : 'other',
    first && 'first',
    last && 'last',
    item.state && 'pending',
    item.state === 'failed' && 'failed',
    item.deleted_at && 'deleted',
    ...MOMENTARY.filter((name) => element.classList.contains(name)),
  ]
    .filter(Boolean)
    .join(' ');
  if (item.seq) element.dataset.seq = item.seq;
  if (item.seq) element.dataset.id = item.id;
  const focusedPart = element.contains(document.activeElement) ? document.activeElement.dataset.part : null;
  fill(
    element,
    !own && row.grouped && senderAvatar(item, last, context),
    h(
      'div',
      { class: 'message-column' },
      h(
        'div',
        { class: 'message-line' },
        h(
          'div',
          { class: `bubble ${onlyEmoji ? 'emoji' : ''}` },
          author(row, context),
          item.reply_to && !item.deleted_at && quote(item.reply_to, context),
          bodyNodes(item, context.state),
          meta(item, own, status),
        ),
        item.seq && touchMenuButton(),
      ),
      item.seq && !item.deleted_at && reactionBar(item, context),
      item.state === 'failed' && failure(item),
    ),
  );
  context.onDrawn(element);
  if (element.hasAttribute('data-current'))
    for (const button of element.querySelectorAll('button')) button.tabIndex = 0;
  // If a button of the message had the focus, the new button gets it.
  if (focusedPart)
    (element.querySelector(`[data-part="${CSS.escape(focusedPart)}"]`) ?? element).focus({ preventScroll: true });
}

/** Shows a system message in its element. */
export function updateSystem(element, { item }, { state }) {
  element.className = 'system';
  element.dataset.seq = item.seq;
  fill(element, h('p', { textContent: systemText(item, state), title: exactTime(item.created_at) }));
}

function senderAvatar(item, last, { state, fileToken }) {
  if (!last) return h('span', { class: 'avatar-gap' });
  const user = state.people.get(item.sender_id) ?? item.sender;
  return avatar(
    { id: item.sender_id, name: nameOf(user) ?? '?', url: user?.avatar_url },
    { fileToken, className: 'small' },
  );
}

/** Creates the author: visible only if it is not clear from the message before, and always for screen readers. */
function author({ item, own, first, grouped }, { state }) {
  const name = own ? 'You' : (nameOf(state.people.get(item.sender_id) ?? item.sender) ?? 'Deleted account');
  const shown = first && grouped && !own;
  return h('span', { class: shown ? 'message-author' : 'sr-only', textContent: shown ? name : `${name}: ` });
}

function quote({ sender_id, content, type }, { state }) {
  const name = sender_id === state.me?.id ? 'You' : (nameOf(state.people.get(sender_id)) ?? 'Somebody');
  const text = content || (type === 'text' ? 'Message deleted' : 'Attachment');
  return h(
    'button',
    {
      type: 'button',
      class: 'quote',
      tabIndex: -1,
      data: { action: 'quote', part: 'quote' },
    },
    h('span', { class: 'sr-only', textContent: 'In reply to ' }),
    h('span', { class: 'quote-author', textContent: name }),
    h('span', { class: 'quote-text', dir: 'auto', textContent: text }),
  );
}

function meta(item, own, status) {
  const [name, label] = STATUS[status] ?? STATUS.sent;
  const mark = own && !item.deleted_at && status !== 'failed';
  return h(
    'span',
    { class: 'message-meta' },
    item.pinned &&
      !item.deleted_at &&
      h(
        'span',
        { class: 'pinned-mark', title: 'Pinned' },
        icon('pin', 13),
        h('span', { class: 'sr-only', textContent: 'Pinned' }),
      ),
    item.edited_at &&
      !item.deleted_at &&
      h('span', { class: 'edited-mark', title: `Edited ${exactTime(item.edited_at)}`, textContent: 'edited' }),
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

function failure(item) {
  return h(
    'div',
    { class: 'failure' },
    icon('alert', 16),
    h('span', { textContent: `Not delivered. ${errorTextForCode(item.error)}` }),
    h('button', { type: 'button', class: 'link-button', textContent: 'Try again', data: { action: 'retry' } }),
    h('button', { type: 'button', class: 'link-button', textContent: 'Discard', data: { action: 'discard' } }),
  );
}
