// The connection to the server.
// Lives here: opening the WebSocket, proving who we are, requests and their answers, signs of life, and coming back.
// May not live here: revisions and resuming (sync.js), tokens (auth.js), or what a frame means.

import { Backoff } from './backoff.js';
import { afterClose } from './closing.js';
import { Emitter } from './emitter.js';
import { GreenroomError } from './errors.js';

const PROTOCOL = 'greenroom.v1';
/** From opening the socket to `auth.success`, in milliseconds. */
const HANDSHAKE_LIMIT = 15_000;
/** From a ping to anything at all from the server, in milliseconds. */
const PONG_LIMIT = 10_000;
/** From a command to its answer, in milliseconds. */
const ANSWER_LIMIT = 20_000;
/** A connection that lasted this long was a success: the next wait starts small again, in milliseconds. */
const STABLE = 5_000;

/** Clock and timers, replaced in tests. */
const REAL_TIME = {
  now: () => Date.now(),
  setTimeout: (task, ms) => setTimeout(task, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * States: `idle` (never asked to connect), `connecting`, `open` (the server knows who we are), `waiting` (will try
 * again by itself), `stopped` (only `connect()` brings it back; see `reason`).
 *
 * Emits `state` ({state, reason, retryAt}), `open` (payload of auth.success), `frame` (every other frame that answers
 * no command), `close` (code).
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
  #lastHeard = 0;
  #openedAt = null;
  #pingEvery = 20_000;
  #freshToken = false;
  #restartDelay = null;

  state = 'idle';
  reason = null;
  retryAt = null;
  /** Opens files until the next `auth.success` brings another one. */
  fileToken = null;
  /** Id of the server's session behind this socket. */
  sessionId = null;

  /**
   * @param {{url: () => string, auth: {token: Function, refresh: Function}, ticket?: () => Promise<string>,
   *   WebSocket?: typeof WebSocket, time?: typeof REAL_TIME, random?: () => number}} options
   *   `ticket`: prove who we are with a single-use ticket in the address, for networks that drop subprotocols
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

  /** Opens the connection now, unless it is open or opening. Also skips a running wait. */
  connect() {
    if (this.state === 'connecting' || this.state === 'open') return;
    this.#clearTimer('retry');
    this.#open();
  }

  /** Ends the connection for good, as on signing out. */
  disconnect(reason = 'signed_out') {
    this.#release(1000);
    this.#set('stopped', { reason });
  }

  /** Gives up this socket as broken and comes back like after a network error. */
  restart() {
    if (this.state !== 'connecting' && this.state !== 'open') return;
    this.#release(1000);
    this.#closed(1006);
  }

  /** Finds out within `limit` milliseconds whether the socket still lives, after a sleep or a change of network. */
  probe(limit = 4_000) {
    if (this.state === 'open') this.#ping(limit);
    else if (this.state === 'waiting') this.connect();
  }

  /**
   * Sends a command and waits for its one answer.
   * @throws {GreenroomError} the server's error code, `timeout`, or `disconnected`; after the last two nobody knows
   *   whether the server acted on it
   */
  request(type, payload, { limit = ANSWER_LIMIT } = {}) {
    if (this.state !== 'open') return Promise.reject(new GreenroomError('disconnected', 'there is no connection'));
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      const timer = limit === null ? null : this.#time.setTimeout(() => this.#unanswered(id), limit);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type, id, payload }));
    });
  }

  /** Sends a command whose answer nobody needs; without a connection it is dropped. */
  tell(type, payload) {
    if (this.state === 'open') this.#socket.send(JSON.stringify({ type, payload }));
  }

  async #open() {
    const attempt = ++this.#attempt;
    this.#set('connecting');
    const address = await this.#address().catch((error) => error);
    if (attempt !== this.#attempt) return;
    if (address instanceof Error) {
      if (address.code === 'signed_out') this.disconnect();
      else this.#wait(address.retryAfterMs ?? 0, 'network');
      return;
    }
    this.#freshToken = false;
    this.#listen(new this.#WebSocket(address.url, address.protocols));
    this.#timer('handshake', HANDSHAKE_LIMIT, () => this.restart());
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
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = ({ code }) => {
      this.#release(null);
      this.#closed(code);
    };
    socket.onerror = () => {};
  }

  #heard(data) {
    this.#lastHeard = this.#time.now();
    this.#clearTimer('pong');
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof frame?.type !== 'string') return;
    const waiting = frame.id === undefined ? undefined : this.#pending.get(frame.id);
    if (waiting) this.#answer(frame, waiting);
    else this.#unasked(frame);
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

  #unasked(frame) {
    switch (frame.type) {
      case 'auth.success':
        return this.#welcomed(frame.payload);
      case 'auth.expiring':
        return this.#extend();
      case 'server.draining':
        this.#restartDelay = frame.payload?.reconnect_after_ms ?? null;
        return this.emit('frame', frame);
      case 'pong':
      case 'ack':
        return undefined;
      default:
        return this.emit('frame', frame);
    }
  }

  #welcomed(payload) {
    this.fileToken = payload.file_token ?? this.fileToken;
    this.sessionId = payload.session_id ?? this.sessionId;
    if (this.state === 'open') return;
    this.#clearTimer('handshake');
    this.#openedAt = this.#time.now();
    this.#pingEvery = Math.max(5_000, (payload.heartbeat_seconds ?? 30) * 1000 * 0.66);
    this.#set('open');
    this.#watch();
    this.emit('open', payload);
  }

  /** The token runs out while the socket is open: show the server a new one, on the same socket. */
  async #extend() {
    const attempt = this.#attempt;
    try {
      const token = await this.#auth.refresh();
      if (attempt !== this.#attempt || this.state !== 'open') return;
      const answer = await this.request('auth', { token });
      this.fileToken = answer.file_token ?? this.fileToken;
    } catch {
      // Whatever was wrong, the server closes with 4401 when the token ends, and that path knows what to do.
    }
  }

  #watch() {
    const quiet = this.#time.now() - this.#lastHeard;
    const rest = this.#pingEvery - quiet;
    if (rest <= 0) this.#ping(PONG_LIMIT);
    this.#timer('watch', rest > 0 ? rest : this.#pingEvery, () => this.#watch());
  }

  #ping(limit) {
    this.tell('ping', {});
    this.#timer('pong', limit, () => this.restart());
  }

  #unanswered(id) {
    const waiting = this.#pending.get(id);
    if (!waiting) return;
    this.#pending.delete(id);
    waiting.reject(new GreenroomError('timeout', 'the server did not answer in time'));
    this.probe(PONG_LIMIT);
  }

  #closed(code) {
    const lasted = this.#openedAt === null ? 0 : this.#time.now() - this.#openedAt;
    this.#openedAt = null;
    if (lasted >= STABLE) this.#backoff.reset();
    const { action, reason, leastDelayMs } = afterClose(code);
    const planned = this.#restartDelay;
    this.#restartDelay = null;
    this.emit('close', code);
    if (action === 'stay') return this.#set('stopped', { reason });
    this.#freshToken ||= action === 'refresh';
    return this.#wait(planned ?? leastDelayMs, reason);
  }

  #wait(leastDelay, reason) {
    const delay = leastDelay + this.#backoff.next();
    this.#set('waiting', { reason, retryAt: this.#time.now() + delay });
    this.#timer('retry', delay, () => this.#open());
  }

  /** Lets go of the socket without waiting for its closing handshake: a dead network never answers that. */
  #release(code) {
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
      reject(new GreenroomError('disconnected', 'the connection ended before the answer'));
    }
  }

  #timer(name, ms, task) {
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

  #set(state, { reason = null, retryAt = null } = {}) {
    this.state = state;
    this.reason = reason;
    this.retryAt = retryAt;
    this.emit('state', { state, reason, retryAt });
  }
}
