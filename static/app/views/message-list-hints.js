// Texts in the message list that are not messages.
// This file contains the texts above the oldest and below the newest loaded message, the text instead of messages that
// are not loaded, and the button for the newest message.

import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { mayWrite } from '../lib/rights.js';
import { plural } from '../lib/text.js';
import { hasBefore } from '../state/message-window.js';

/** Creates the text above the oldest loaded message. */
export function messageListTop({ onRetry }) {
  const { element, show } = changingHint('log-top');

  function update(room, conversation, count) {
    if (room.olderStatus === 'loading') return show('Loading earlier messages…');
    if (room.olderStatus === 'error') return show('Load earlier messages', onRetry);
    if (!hasBefore(room) && count === 0)
      return show(`No messages yet.${mayWrite(conversation) ? ' Yours can be the first.' : ''}`);
    if (!hasBefore(room) && conversation.type === 'direct') return show('This is where your conversation begins.');
    return show('');
  }

  return { element, update };
}

/** Creates the text below the newest loaded message, where later ones are missing. */
export function messageListBottom({ onRetry }) {
  const { element, show } = changingHint('log-bottom');

  function update({ newerStatus }) {
    if (newerStatus === 'loading') return show('Loading later messages…');
    if (newerStatus === 'error') return show('Load later messages', onRetry);
    return show('');
  }

  return { element, update };
}

/** Creates an element with a text, or a button if there is something to do; it is changed only if the text differs. */
function changingHint(className) {
  const element = h('div', { class: className });
  let shown = '';

  function show(text, run = null) {
    if (text === shown) return;
    shown = text;
    fill(element, text !== '' && (run ? button(text, run) : h('p', { class: 'log-hint', textContent: text })));
  }

  return { element, show };
}

/** Creates the button that goes to the newest message and reads all. */
export function jumpButton({ onJump }) {
  const count = h('span', { class: 'jump-count', 'aria-hidden': 'true' });
  const element = h(
    'button',
    { type: 'button', class: 'jump', hidden: true, on: { click: onJump } },
    icon('down', 20),
    count,
  );

  function update(isHidden, unread) {
    element.hidden = isHidden;
    const label = unread > 0 ? `Jump to latest, ${plural(unread, 'unread message')}` : 'Jump to latest';
    setAttribute(element, 'aria-label', label);
    setAttribute(element, 'title', label);
    setText(count, unread > 99 ? '99+' : unread > 0 ? String(unread) : '');
  }

  return { element, update };
}

const TEXTS = {
  loading: 'Loading messages…',
  missing: 'This conversation is not here. Perhaps you are no longer in it.',
  error: 'The messages could not be loaded.',
};

/** Creates the text that is shown instead of the messages. */
export function roomNotice({ onRetry }) {
  const element = h('div', { class: 'room-notice', hidden: true });
  let shown = null;

  function update({ status }) {
    const text = TEXTS[status];
    element.hidden = !text;
    if (!text || shown === status) return;
    shown = status;
    fill(element, h('p', { role: 'status', textContent: text }), status === 'error' && button('Try again', onRetry));
  }

  return { element, update };
}

function button(label, run) {
  return h('button', { type: 'button', class: 'button soft', textContent: label, on: { click: run } });
}
