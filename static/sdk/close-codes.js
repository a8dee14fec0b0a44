// What the client does after each closing code of the socket.
// This file contains the decision table as a pure function. It must not act on a decision; socket.js does.

/** The shortest wait after the server closed the socket because of too many commands, in milliseconds. */
const FLOODING_DELAY_MS = 5_000;

/**
 * Returns what to do after the socket closed.
 * @param {number} code the WebSocket closing code; 1006 means that the connection broke
 * @returns {{action: 'retry'|'refresh'|'stay', reason: string, minDelayMs: number}}
 *   `retry`: reconnect; `refresh`: get a new access token, then reconnect; `stay`: reconnect only when the user asks.
 */
export function decideAfterClose(code) {
  switch (code) {
    case 4400:
      return decision('stay', 'protocol');
    case 4401:
      return decision('refresh', 'unauthorized');
    case 4403:
      return decision('stay', 'refused');
    case 4409:
      return decision('stay', 'replaced');
    case 4408:
      return decision('retry', 'heartbeat');
    case 4410:
      return decision('retry', 'slow');
    case 4429:
      return decision('retry', 'flooding', FLOODING_DELAY_MS);
    case 1012:
      return decision('retry', 'restart');
    default:
      return decision('retry', 'network');
  }
}

function decision(action, reason, minDelayMs = 0) {
  return { action, reason, minDelayMs };
}
