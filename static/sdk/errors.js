// The errors of the SDK.
// This file contains the one error type that callers see, and the codes after which a repetition makes sense. It must
// not contain texts for users (the app has those), or code that sends a request.

/** The codes after which the same request may succeed later. */
const TRANSIENT = new Set([
  'network',
  'timeout',
  'disconnected',
  'unavailable',
  'busy',
  'rate_limited',
  'unauthorized',
]);

/**
 * The error with which all functions of the SDK reject. Most codes come from the server and are documented there. The
 * SDK itself makes these:
 * - `network`: the request got no answer. The server may have acted on it.
 * - `timeout`: no answer came in time. The server may have acted on the request.
 * - `disconnected`: there is no socket, or it closed before the answer came. The server may have acted on the request.
 * - `signed_out`: there is no login on this device.
 * - `aborted`: the caller aborted the request.
 */
export class GreenroomError extends Error {
  /**
   * @param {string} code a stable code, from the server or from the list above
   * @param {string} [detail] an English text for developers
   * @param {{status?: number, retryAfterMs?: number, fields?: {field: string, message: string}[], requestId?: string,
   *   cause?: unknown}} [more] `status`: the HTTP status, 0 if there is none; `retryAfterMs`: how long the server asks
   *   to wait, null if it does not say; `fields`: the fields that failed validation
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

  /** Whether the same request may succeed later, although the user changes nothing. */
  get transient() {
    return TRANSIENT.has(this.code) || this.status >= 500;
  }
}
