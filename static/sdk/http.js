// One HTTP request.
// This file contains addresses, JSON, the timeout, and the conversion of every failure into a GreenroomError. It must
// not contain tokens (auth.js) or the names of routes (api.js).

import { GreenroomError } from './errors.js';

/** The longest wait for an answer if the caller sets no other, in milliseconds. */
const TIMEOUT_MS = 20_000;

/** Sends requests to one server. */
export class Http {
  #base;
  #fetch;

  /**
   * @param {{baseUrl?: string, fetch?: typeof fetch}} options `baseUrl`: no slash at its end; empty means this origin
   */
  constructor({ baseUrl = '', fetch = globalThis.fetch } = {}) {
    this.#base = baseUrl;
    this.#fetch = (...args) => fetch(...args);
  }

  get baseUrl() {
    return this.#base;
  }

  /**
   * Sends one request.
   * @param {string} method the HTTP method
   * @param {string} path the path under /api/v1
   * @param {{body?: object, query?: object, token?: string, signal?: AbortSignal, keepalive?: boolean,
   *   timeoutMs?: number}} [options] `timeoutMs`: the longest wait for the answer, in milliseconds
   * @returns {Promise<any>} the parsed answer; null for status 204
   * @throws {GreenroomError} with the code of the server, or `network`, `timeout` or `aborted`
   */
  async call(method, path, { body, query, token, signal, keepalive, timeoutMs = TIMEOUT_MS } = {}) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), timeoutMs);
    const abort = () => controller.abort();
    signal?.addEventListener('abort', abort);
    try {
      const response = await this.#fetch(`${this.#base}/api/v1${path}${queryString(query)}`, {
        method,
        headers: headers(body, token),
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: controller.signal,
        cache: 'no-store',
        keepalive,
      });
      if (response.ok) return response.status === 204 ? null : await response.json();
      throw await readError(response);
    } catch (error) {
      if (error instanceof GreenroomError) throw error;
      if (signal?.aborted) throw new GreenroomError('aborted', 'The caller aborted the request.', { cause: error });
      if (controller.signal.aborted)
        throw new GreenroomError('timeout', 'The server did not answer in time.', { cause: error });
      throw new GreenroomError('network', 'The server could not be reached.', { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
}

function headers(body, token) {
  const result = { accept: 'application/json' };
  if (body !== undefined) result['content-type'] = 'application/json';
  if (token) result.authorization = `Bearer ${token}`;
  return result;
}

function queryString(query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

/** Reads the error in an answer. A proxy before the server may answer in another format. */
async function readError(response) {
  const body = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get('retry-after'));
  return new GreenroomError(
    body.code ?? codeOf(response.status),
    body.detail ?? body.title ?? `status ${response.status}`,
    {
      status: response.status,
      retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined,
      fields: body.errors,
      requestId: body.request_id ?? response.headers.get('x-request-id') ?? undefined,
    },
  );
}

function codeOf(status) {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 429) return 'rate_limited';
  return status >= 500 ? 'unavailable' : 'invalid_request';
}
