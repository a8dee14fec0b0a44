// One message on the screen.
// Lives here: the bubble — author, quote, text, time, how far it got, what went wrong — and what stands around it.
// May not live here: which messages there are (messages.js), what the text is made of (message-text.js), reactions
// (reactions.js), or what may be done with it (message-menu.js).

import { fill, h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { isEmojiOnly } from '../lib/text.js';
import { exactTime, timeOfDay } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { bodyNodes } from './message-text.js';
import { reactionBar } from './reactions.js';
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
  return h('div', { class: 'message', role: 'article', tabIndex: -1 });
}

/**
 * @param {HTMLElement} element
 * @param {{item: object, own: boolean, first: boolean, last: boolean, grouped: boolean}} row `item` is a message, or an
 *   outbox entry in the shape of one; `first` and `last` of a run by one author; `grouped`: names and faces are shown
 * @param {{state: object, fileToken: string|null, mayWrite: boolean, onReply: Function, onMenu: Function,
 *   onReact: Function, onPicker: Function, reactors: Function, onRetry: Function, onDiscard: Function,
 *   onQuote: Function}} context
 */
export function updateMessage(element, row, context) {
  const { item, own, first, last } = row;
  const status = item.state ?? item.status ?? 'sent';
  const alone = !item.deleted_at && !item.reply_to && isEmojiOnly(item.content);
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
  if (item.seq) element.dataset.id = item.id;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.part : null;
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
          { class: `bubble ${alone ? 'emoji' : ''}` },
          author(row, context),
          item.reply_to && !item.deleted_at && quote(item.reply_to, context),
          bodyNodes(item, context.state),
          meta(item, own, status),
        ),
        item.seq && tools(item, context),
      ),
      item.seq && !item.deleted_at && reactionBar(item, context),
      item.state === 'failed' && failure(item, context),
    ),
  );
  if (element.hasAttribute('data-current')) for (const button of element.querySelectorAll('button')) button.tabIndex = 0;
  // Whoever pressed a button of it stays on that button.
  if (focused)
    (element.querySelector(`[data-part="${CSS.escape(focused)}"]`) ?? element).focus({ preventScroll: true });
}

/** A line that tells of the group itself. */
export function updateSystem(element, { item }, { state }) {
  element.className = 'system';
  element.dataset.seq = item.seq;
  fill(element, h('p', { textContent: systemText(item, state), title: exactTime(item.created_at) }));
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

function quote({ id, seq, sender_id, content, type }, { state, onQuote }) {
  const name = sender_id === state.me?.id ? 'You' : (nameOf(state.people.get(sender_id)) ?? 'Somebody');
  const text = content || (type === 'text' ? 'Message deleted' : 'Attachment');
  return h(
    'button',
    {
      type: 'button',
      class: 'quote',
      tabIndex: -1,
      data: { part: 'quote' },
      on: { click: () => onQuote({ id, seq }) },
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

/** Shown on hover and focus; a finger rests on the message instead, or presses the last one. */
function tools(item, { mayWrite, onPicker, onReply, onMenu }) {
  const tool = (part, label, name, run) =>
    h(
      'button',
      {
        type: 'button',
        class: `tool tool-${part}`,
        'aria-label': label,
        title: label,
        tabIndex: -1,
        data: { part },
        on: { click: (event) => run(item, event.currentTarget) },
      },
      icon(name, 17),
    );
  const open = mayWrite && !item.deleted_at;
  return h(
    'div',
    { class: 'tools' },
    open && tool('react', 'React', 'reaction', onPicker),
    open && tool('reply', 'Reply', 'reply', onReply),
    tool('more', 'Message actions', 'more', onMenu),
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
