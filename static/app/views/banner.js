// The state of the connection.
// This file shows a bar while the connection does not work. It must not contain reconnecting (the SDK does that).

import { fill, h } from '../lib/dom.js';

/** The bar is not shown before this time, because most connections are back sooner. In milliseconds. */
const GRACE_MS = 1_200;

const STOPPED = {
  replaced: ['Greenroom is open in too many places, so this one was paused.', 'Use it here'],
  refused: ['The server ended this session.', 'Try again'],
  protocol: ['Something went wrong between this page and the server.', 'Try again'],
};

export function mountBanner(parent, { store, actions }) {
  const element = h('div', { class: 'banner', role: 'status', hidden: true });
  parent.append(element);
  let troubleSince = null;
  let timer = null;
  let shown = null;

  const button = (text) =>
    h('button', {
      type: 'button',
      class: 'banner-button',
      textContent: text,
      on: { click: () => actions.reconnect() },
    });

  const show = (kind, ...content) => {
    if (shown === kind) return;
    shown = kind;
    element.hidden = kind === null;
    element.dataset.kind = kind ?? '';
    fill(element, ...content);
  };

  const update = () => {
    clearTimeout(timer);
    const { state, reason, upToDate } = store.state.connection;
    if (state === 'open' && upToDate) {
      troubleSince = null;
      return show(null);
    }
    troubleSince ??= Date.now();
    const remainingMs = troubleSince + GRACE_MS - Date.now();
    if (state !== 'stopped' && remainingMs > 0) {
      timer = setTimeout(update, remainingMs);
      return undefined;
    }
    if (state === 'stopped' && STOPPED[reason]) return show(reason, STOPPED[reason][0], button(STOPPED[reason][1]));
    if (state === 'open') return show('level', 'Catching up…');
    if (state === 'connecting') return shown === 'waiting' ? undefined : show('connecting', 'Connecting…');
    if (state !== 'waiting') return undefined;
    return show(
      'waiting',
      navigator.onLine === false
        ? 'You are offline. Messages will be sent when you are back.'
        : 'No connection. Trying again…',
      button('Try now'),
    );
  };

  update();
  const unwatch = store.watch(['connection'], update);
  return () => {
    clearTimeout(timer);
    unwatch();
  };
}
