// What a closing code asks of the client.
// Lives here: the decision table, as a pure function. May not live here: the acting on it (socket.js).

/** Least wait after the server called us too fast, in milliseconds. */
const FLOODING_PAUSE = 5_000;

/**
 * @param {number} code the WebSocket closing code; 1006 is a connection that broke
 * @returns {{action: 'retry'|'refresh'|'stay', reason: string, leastDelayMs: number}}
 *   `retry`: come back; `refresh`: get a new access token, then come back; `stay`: only a person may bring us back.
 */
export function afterClose(code) {
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
      return decision('retry', 'flooding', FLOODING_PAUSE);
    case 1012:
      return decision('retry', 'restart');
    default:
      return decision('retry', 'network');
  }
}

function decision(action, reason, leastDelayMs = 0) {
  return { action, reason, leastDelayMs };
}
