// Events of the browser about the network and the visibility of the page.
// This file turns these events into calls on the connection, and sends `away` after a long absence. It must not decide
// about reconnecting, except that the connection is checked now.

/** The user of a page that is hidden for this time is away, in milliseconds. */
const AWAY_AFTER_MS = 5 * 60_000;

/**
 * Watches the browser's network and visibility events.
 * @param {{connection: import('./socket.js').Connection, page?: Document, browser?: Window}} options
 * @returns {() => void} a function that stops watching
 */
export function watchBrowser({ connection, page = globalThis.document, browser = globalThis.window }) {
  if (!page || !browser) return () => {};
  let away = false;
  let timer = null;

  // A server on this machine can be reached without a network. So `offline` drops the socket, which most likely does
  // not work any more, but reconnecting continues.
  const offline = () => connection.restart();
  const online = () => connection.probe();
  const visibilityChanged = () => {
    clearTimeout(timer);
    if (page.visibilityState === 'hidden') {
      timer = setTimeout(() => setStatus('away'), AWAY_AFTER_MS);
      return;
    }
    connection.probe();
    if (away) setStatus('online');
  };
  const setStatus = (status) => {
    away = status === 'away';
    connection.send('presence.set', { status });
  };

  browser.addEventListener('offline', offline);
  browser.addEventListener('online', online);
  browser.addEventListener('pageshow', visibilityChanged);
  page.addEventListener('visibilitychange', visibilityChanged);
  const stopListening = connection.on('open', () => away && setStatus('away'));
  return () => {
    clearTimeout(timer);
    stopListening();
    browser.removeEventListener('offline', offline);
    browser.removeEventListener('online', online);
    browser.removeEventListener('pageshow', visibilityChanged);
    page.removeEventListener('visibilitychange', visibilityChanged);
  };
}
