// What the log says of itself.
// Lives here: the words above the oldest message, and those that stand in for a room that is not here. May not live here:
// messages (messages.js).

import { fill, h } from '../lib/dom.js';
import { mayWrite } from '../lib/rights.js';

/** Above the oldest message that is loaded. */
export function logTop({ onRetry }) {
  const element = h('div', { class: 'log-top' });
  const hint = (text) => fill(element, h('p', { class: 'log-hint', textContent: text }));

  function update({ older, hasBefore }, conversation, count) {
    if (older === 'loading') return hint('Loading earlier messages…');
    if (older === 'error') return fill(element, button('Load earlier messages', onRetry));
    if (!hasBefore && count === 0)
      return hint(`No messages yet.${mayWrite(conversation) ? ' Yours can be the first.' : ''}`);
    if (!hasBefore && conversation.type === 'direct') return hint('This is where your conversation begins.');
    return fill(element);
  }

  return { element, update };
}

const WORDS = {
  loading: 'Loading messages…',
  missing: 'This conversation is not here. Perhaps you are no longer in it.',
  error: 'The messages could not be loaded.',
};

/** Instead of the log. */
export function roomNotice({ onRetry }) {
  const element = h('div', { class: 'room-notice', hidden: true });
  let shown = null;

  function update({ status }) {
    const words = WORDS[status];
    element.hidden = !words;
    if (!words || shown === status) return;
    shown = status;
    fill(element, h('p', { role: 'status', textContent: words }), status === 'error' && button('Try again', onRetry));
  }

  return { element, update };
}

function button(label, run) {
  return h('button', { type: 'button', class: 'button soft', textContent: label, on: { click: run } });
}
