// One HTTP request.
// Lives here: addresses, JSON, the time limit, and turning every failure into a GreenroomError.
// May not live here: tokens (auth.js) and the names of routes (api.js).

import { GreenroomError } from './errors.js';

/** Longest wait for an answer where the caller says nothing else, in milliseconds. */
const TIMEOUT = 20_000;

export class Http {
  #base;
  #fetch;

  /** @param {{baseUrl?: string, fetch?: typeof fetch}} options `baseUrl` without a trailing slash; empty is this origin */
  constructor({ baseUrl = '', fetch = globalThis.fetch } = {}) {
    this.#base = baseUrl;
    this.#fetch = (...args) => fetch(...args);
  }

  get baseUrl() {
    return this.#base;
  }

  /**
   * @param {string} method
   * @param {string} path under /api/v1
   * @param {{body?: object, query?: object, token?: string, signal?: AbortSignal, keepalive?: boolean, limit?: number}}
   *   [options] `limit`: longest wait for the answer, in milliseconds
   * @returns {Promise<any>} the parsed answer; null for 204
   * @throws {GreenroomError} with the server's code, or `network`, `timeout`, `aborted`
   */
  async call(method, path, { body, query, token, signal, keepalive, limit = TIMEOUT } = {}) {
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(), limit);
    const abort = () => ended.abort();
    signal?.addEventListener('abort', abort);
    try {
      const response = await this.#fetch(`${this.#base}/api/v1${path}${queryString(query)}`, {
        method,
        headers: headers(body, token),
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: ended.signal,
        cache: 'no-store',
        keepalive,
      });
      if (response.ok) return response.status === 204 ? null : await response.json();
      throw await problem(response);
    } catch (error) {
      if (error instanceof GreenroomError) throw error;
      if (signal?.aborted) throw new GreenroomError('aborted', 'no longer wanted', { cause: error });
      if (ended.signal.aborted)
        throw new GreenroomError('timeout', 'the server did not answer in time', { cause: error });
      throw new GreenroomError('network', 'the server could not be reached', { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
}

function headers(body, token) {
  const found = { accept: 'application/json' };
  if (body !== undefined) found['content-type'] = 'application/json';
  if (token) found.authorization = `Bearer ${token}`;
  return found;
}

function queryString(query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

/** Not every refusal is ours: a proxy in between answers in its own words. */
async function problem(response) {
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
