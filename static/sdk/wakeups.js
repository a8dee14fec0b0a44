// What the browser knows about the network and the person.
// Lives here: network and visibility events, turned into calls on the connection, and `away` after a long absence.
// May not live here: decisions about reconnecting beyond "look now".

/** A page hidden for this long means that its user is away, in milliseconds. */
const AWAY_AFTER = 5 * 60_000;

/**
 * @param {{connection: import('./socket.js').Connection, page?: Document, browser?: Window}} options
 * @returns {() => void} stops listening
 */
export function watchBrowser({ connection, page = globalThis.document, browser = globalThis.window }) {
  if (!page || !browser) return () => {};
  let away = false;
  let timer = null;

  // A server on this very machine is reachable without any network, so `offline` ends the socket, which is most likely
  // dead, but not the trying.
  const offline = () => connection.restart();
  const online = () => connection.probe();
  const present = () => {
    clearTimeout(timer);
    if (page.visibilityState === 'hidden') {
      timer = setTimeout(() => tell('away'), AWAY_AFTER);
      return;
    }
    connection.probe();
    if (away) tell('online');
  };
  const tell = (status) => {
    away = status === 'away';
    connection.tell('presence.set', { status });
  };

  browser.addEventListener('offline', offline);
  browser.addEventListener('online', online);
  browser.addEventListener('pageshow', present);
  page.addEventListener('visibilitychange', present);
  const forget = connection.on('open', () => away && tell('away'));
  return () => {
    clearTimeout(timer);
    forget();
    browser.removeEventListener('offline', offline);
    browser.removeEventListener('online', online);
    browser.removeEventListener('pageshow', present);
    page.removeEventListener('visibilitychange', present);
  };
}
