// The connection to the server.
// This file contains opening the WebSocket, authentication, requests and their answers, the heartbeat, and
// reconnecting. It must not contain revisions and resuming (sync.js), tokens (auth.js), or the meaning of frames.

import { Backoff } from './backoff.js';
import { decideAfterClose } from './close-codes.js';
import { Emitter } from './emitter.js';
import { GreenroomError } from './errors.js';

const PROTOCOL = 'greenroom.v1';
/** The longest time from opening the socket to `auth.success`, in milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 15_000;
/** The longest time from a ping to the next frame of any type from the server, in milliseconds. */
const PONG_TIMEOUT_MS = 10_000;
/** The longest time from a command to its answer, in milliseconds. */
const ANSWER_TIMEOUT_MS = 20_000;
/**
 * If the connection was open at least this long, the next reconnect delay starts again from the shortest.
 * Milliseconds.
 */
const STABLE_AFTER_MS = 5_000;

/** The clock and the timers. Tests replace them. */
const REAL_TIME = {
  now: () => Date.now(),
  setTimeout: (task, ms) => setTimeout(task, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * The WebSocket connection of one user, which reconnects by itself.
 *
 * States: `idle` (`connect` was not called yet), `connecting`, `open` (authenticated), `waiting` (will reconnect by
 * itself), `stopped` (only `connect` opens it again; `reason` says why).
 *
 * Emits `state` ({state, reason, retryAt}), `open` (the payload of auth.success), `frame` (every other frame that is
 * not an answer to a command) and `close` (the closing code).
 */
export class Connection extends Emitter {
  #url;
  #auth;
  #ticket;
  #WebSocket;
  #time;
  #backoff;
  #socket = null;
  #attempt = 0;
  #timers = new Map();
  #pending = new Map();
  #nextId = 1;
  #lastFrameAt = 0;
  #openedAt = null;
  #pingEveryMs = 20_000;
  #freshToken = false;
  #restartDelayMs = null;

  state = 'idle';
  reason = null;
  retryAt = null;
  /** The token with which files can be read, until the next `auth.success` brings another one. */
  fileToken = null;
  /** The id of the server's session for this socket. */
  sessionId = null;

  /**
   * @param {{url: () => string, auth: {token: Function, refresh: Function}, ticket?: () => Promise<string>,
   *   WebSocket?: typeof WebSocket, time?: typeof REAL_TIME, random?: () => number}} options
   *   `ticket`: authenticate with a single-use ticket in the address, for networks that drop subprotocols
   */
  constructor({ url, auth, ticket = null, WebSocket = globalThis.WebSocket, time = REAL_TIME, random = Math.random }) {
    super();
    this.#url = url;
    this.#auth = auth;
    this.#ticket = ticket;
    this.#WebSocket = WebSocket;
    this.#time = time;
    this.#backoff = new Backoff({ random });
  }

  /** Opens the connection now, unless it is open or opening. Ends a wait for the next attempt. */
  connect() {
    if (this.state === 'connecting' || this.state === 'open') return;
    this.#clearTimer('retry');
    this.#open();
  }

  /** Closes the connection until the next `connect`, as when the user signs out. */
  disconnect(reason = 'signed_out') {
    this.#dropSocket(1000);
    this.#setState('stopped', { reason });
  }

  /** Drops this socket, because it does not work any more, and reconnects as after a network error. */
  restart() {
    if (this.state !== 'connecting' && this.state !== 'open') return;
    this.#dropSocket(1000);
    this.#handleClose(1006);
  }

  /** Checks within `timeoutMs` milliseconds whether the socket still works, as after sleep or a change of network. */
  probe(timeoutMs = 4_000) {
    if (this.state === 'open') this.#ping(timeoutMs);
    else if (this.state === 'waiting') this.connect();
  }

  /**
   * Sends a command and waits for its answer.
   * @param {string} type
   * @param {object} payload
   * @param {{timeoutMs?: number|null}} [options] the longest wait in milliseconds; null means no bound
   * @returns {Promise<object>} the payload of the answer
   * @throws {GreenroomError} the error code of the server, `timeout` or `disconnected`. After the last two the server
   *   may have acted on the command.
   */
  request(type, payload, { timeoutMs = ANSWER_TIMEOUT_MS } = {}) {
    if (this.state !== 'open') return Promise.reject(new GreenroomError('disconnected', 'There is no connection.'));
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      const timer = timeoutMs === null ? null : this.#time.setTimeout(() => this.#requestTimedOut(id), timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type, id, payload }));
    });
  }

  /** Sends a command without waiting for an answer. Without a connection it is dropped. */
  send(type, payload) {
    if (this.state === 'open') this.#socket.send(JSON.stringify({ type, payload }));
  }

  async #open() {
    const attempt = ++this.#attempt;
    this.#setState('connecting');
    const address = await this.#address().catch((error) => error);
    if (attempt !== this.#attempt) return;
    if (address instanceof Error) {
      if (address.code === 'signed_out') this.disconnect();
      else this.#reconnectLater(address.retryAfterMs ?? 0, 'network');
      return;
    }
    this.#freshToken = false;
    this.#listen(new this.#WebSocket(address.url, address.protocols));
    this.#startTimer('handshake', HANDSHAKE_TIMEOUT_MS, () => this.restart());
  }

  async #address() {
    const url = new URL(this.#url());
    url.searchParams.set('subscribe', 'none');
    if (this.#ticket) {
      url.searchParams.set('ticket', await this.#ticket());
      return { url: url.href, protocols: [PROTOCOL] };
    }
    const token = await this.#auth.token({ fresh: this.#freshToken });
    return { url: url.href, protocols: [PROTOCOL, `bearer.${token}`] };
  }

  #listen(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => {
      this.#dropSocket(null);
      this.#handleClose(code);
    };
    socket.onerror = () => {};
  }

  #receive(data) {
    this.#lastFrameAt = this.#time.now();
    this.#clearTimer('pong');
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof frame?.type !== 'string') return;
    const pending = frame.id === undefined ? undefined : this.#pending.get(frame.id);
    if (pending) this.#answer(frame, pending);
    else this.#handleFrame(frame);
  }

  #answer(frame, { resolve, reject, timer }) {
    this.#pending.delete(frame.id);
    this.#time.clearTimeout(timer);
    const payload = frame.payload ?? {};
    if (frame.type !== 'error') return resolve(payload);
    return reject(
      new GreenroomError(payload.code ?? 'unknown', payload.detail, { retryAfterMs: payload.retry_after_ms }),
    );
  }

  #handleFrame(frame) {
    switch (frame.type) {
      case 'auth.success':
        return this.#authenticated(frame.payload);
      case 'auth.expiring':
        return this.#renewToken();
      case 'server.draining':
        this.#restartDelayMs = frame.payload?.reconnect_after_ms ?? null;
        return this.emit('frame', frame);
      case 'pong':
      case 'ack':
        return undefined;
      default:
        return this.emit('frame', frame);
    }
  }

  #authenticated(payload) {
    this.fileToken = payload.file_token ?? this.fileToken;
    this.sessionId = payload.session_id ?? this.sessionId;
    if (this.state === 'open') return;
    this.#clearTimer('handshake');
    this.#openedAt = this.#time.now();
    this.#pingEveryMs = Math.max(5_000, (payload.heartbeat_seconds ?? 30) * 1000 * 0.66);
    this.#setState('open');
    this.#pingIfQuiet();
    this.emit('open', payload);
  }

  /** Sends a new access token on the same socket, because the present one expires soon. */
  async #renewToken() {
    const attempt = this.#attempt;
    try {
      const token = await this.#auth.refresh();
      if (attempt !== this.#attempt || this.state !== 'open') return;
      const answer = await this.request('auth', { token });
      this.fileToken = answer.file_token ?? this.fileToken;
    } catch {
      // Ignore the failure: the server closes the socket with 4401 when the token expires, and that is handled there.
    }
  }

  #pingIfQuiet() {
    const quietMs = this.#time.now() - this.#lastFrameAt;
    const remainingMs = this.#pingEveryMs - quietMs;
    if (remainingMs <= 0) this.#ping(PONG_TIMEOUT_MS);
    this.#startTimer('ping', remainingMs > 0 ? remainingMs : this.#pingEveryMs, () => this.#pingIfQuiet());
  }

  #ping(timeoutMs) {
    this.send('ping', {});
    this.#startTimer('pong', timeoutMs, () => this.restart());
  }

  #requestTimedOut(id) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    pending.reject(new GreenroomError('timeout', 'The server did not answer in time.'));
    this.probe(PONG_TIMEOUT_MS);
  }

  #handleClose(code) {
    const lastedMs = this.#openedAt === null ? 0 : this.#time.now() - this.#openedAt;
    this.#openedAt = null;
    if (lastedMs >= STABLE_AFTER_MS) this.#backoff.reset();
    const { action, reason, minDelayMs } = decideAfterClose(code);
    const plannedDelayMs = this.#restartDelayMs;
    this.#restartDelayMs = null;
    this.emit('close', code);
    if (action === 'stay') return this.#setState('stopped', { reason });
    this.#freshToken ||= action === 'refresh';
    return this.#reconnectLater(plannedDelayMs ?? minDelayMs, reason);
  }

  #reconnectLater(minDelayMs, reason) {
    const delayMs = minDelayMs + this.#backoff.next();
    this.#setState('waiting', { reason, retryAt: this.#time.now() + delayMs });
    this.#startTimer('retry', delayMs, () => this.#open());
  }

  /** Drops the socket without waiting for its closing handshake, because a broken network never answers it. */
  #dropSocket(code) {
    this.#attempt += 1;
    for (const name of [...this.#timers.keys()]) this.#clearTimer(name);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      if (code !== null) socket.close(code);
    }
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of pending) {
      this.#time.clearTimeout(timer);
      reject(new GreenroomError('disconnected', 'The connection ended before the answer.'));
    }
  }

  #startTimer(name, ms, task) {
    this.#clearTimer(name);
    this.#timers.set(
      name,
      this.#time.setTimeout(() => {
        this.#timers.delete(name);
        task();
      }, ms),
    );
  }

  #clearTimer(name) {
    if (!this.#timers.has(name)) return;
    this.#time.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #setState(state, { reason = null, retryAt = null } = {}) {
    this.state = state;
    this.reason = reason;
    this.retryAt = retryAt;
    this.emit('state', { state, reason, retryAt });
  }
}
