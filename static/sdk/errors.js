// Errors of the SDK.
// Lives here: the one error type that callers see and the list of codes worth another try.
// May not live here: sentences for people (the app words those), or anything that sends a request.

/**
 * Codes made on this side of the wire. All others come from the server's `code` and are listed in its documentation.
 * - `network`: the request never reached an answer; nobody knows whether the server acted on it.
 * - `timeout`: no answer in time; same uncertainty.
 * - `disconnected`: there is no socket, or it ended before the answer came; same uncertainty.
 * - `signed_out`: there is no login on this device.
 */
const TRANSIENT = new Set(['network', 'timeout', 'disconnected', 'unavailable', 'busy', 'rate_limited', 'unauthorized']);

export class GreenroomError extends Error {
  /**
   * @param {string} code stable code, from the server or from the list above
   * @param {string} [detail] English text for a developer
   * @param {{status?: number, retryAfterMs?: number, fields?: {field: string, message: string}[], requestId?: string, cause?: unknown}} [more]
   */
  constructor(code, detail = code, more = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'GreenroomError';
    this.code = code;
    this.status = more.status ?? 0;
    this.retryAfterMs = more.retryAfterMs ?? null;
    this.fields = more.fields ?? [];
    this.requestId = more.requestId ?? null;
  }

  /** Whether the same request may succeed later without the user changing anything. */
  get transient() {
    return TRANSIENT.has(this.code) || this.status >= 500;
  }
}
