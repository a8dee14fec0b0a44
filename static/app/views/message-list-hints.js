// Texts in the message list that are not messages.
// This file contains the text above the oldest message, and the text instead of messages that are not loaded.

import { fill, h } from '../lib/dom.js';
import { mayWrite } from '../lib/rights.js';

/** Creates the text above the oldest loaded message. */
export function messageListTop({ onRetry }) {
  const element = h('div', { class: 'log-top' });
  const hint = (text) => fill(element, h('p', { class: 'log-hint', textContent: text }));

  function update({ olderStatus, hasBefore }, conversation, count) {
    if (olderStatus === 'loading') return hint('Loading earlier messages…');
    if (olderStatus === 'error') return fill(element, button('Load earlier messages', onRetry));
    if (!hasBefore && count === 0)
      return hint(`No messages yet.${mayWrite(conversation) ? ' Yours can be the first.' : ''}`);
    if (!hasBefore && conversation.type === 'direct') return hint('This is where your conversation begins.');
    return fill(element);
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
