// Greenroom's client SDK: `import { Greenroom } from '/sdk/greenroom.js'`.
// Lives here: the parts put together behind one object. May not live here: logic of their own; each part has its room:
//   auth.js      who is signed in, tokens            api.js      REST calls by name (http.js, errors.js beneath)
//   socket.js    connection, heartbeat, coming back  sync.js     snapshot, resume, order (streams.js beneath)
//   outbox.js    messages on their way out           receipts.js, typing.js   marks and typing
//   wakeups.js   network and visibility of the page
// It runs in a browser and, with WebSocket, fetch and storage handed in, under Node.

import { Api } from './api.js';
import { Auth } from './auth.js';
import { GreenroomError } from './errors.js';
import { Emitter } from './emitter.js';
import { Http } from './http.js';
import { Outbox } from './outbox.js';
import { Receipts } from './receipts.js';
import { Connection } from './socket.js';
import { Sync } from './sync.js';
import { Typing } from './typing.js';
import { watchBrowser } from './wakeups.js';

export { GreenroomError };

/**
 * One user's connection to a Greenroom server.
 *
 * Emits `signed-in` (user), `signed-out` (code), `user` (user), `connection` ({state, reason, retryAt}), `ready`,
 * `snapshot`, `reload`, `gone`, `reads`, `event` (see sync.js), `outbox` (conversation_id) and `sent` ({message, rev}).
 *
 * @example
 * const room = new Greenroom();
 * room.on('event', (frame) => console.log(frame.type, frame.payload));
 * await room.auth.login({ login: 'ana', password: '…' });
 * room.start();
 * room.send({ conversation_id, content: 'Hello' });
 */
export class Greenroom extends Emitter {
  #unwatch = () => {};
  #onStorage = null;

  /**
   * @param {{baseUrl?: string, ticket?: boolean, fetch?: typeof fetch, WebSocket?: typeof WebSocket,
   *   storage?: Storage, locks?: LockManager|null}} [options] `baseUrl`: another origin, which must allow ours
   */
  constructor({ baseUrl = '', ticket = false, fetch, WebSocket, storage, locks } = {}) {
    super();
    const kept = storage ?? browserStorage();
    const http = new Http({ baseUrl, fetch });
    this.auth = new Auth({
      http,
      storage: kept,
      locks: locks === undefined ? globalThis.navigator?.locks : locks,
      channel: storage ? null : channelOfTabs(),
    });
    this.api = new Api({ http, auth: this.auth });
    this.connection = new Connection({
      url: () => socketUrl(baseUrl),
      auth: this.auth,
      ticket: ticket ? () => this.api.ticket() : null,
      WebSocket,
    });
    this.sync = new Sync({ connection: this.connection, api: this.api });
    this.outbox = new Outbox({ storage: kept, send: (entry) => this.#deliver(entry) });
    this.typing = new Typing({ tell: (type, payload) => this.connection.tell(type, payload) });
    this.receipts = new Receipts({ request: (type, payload) => this.connection.request(type, payload) });
    this.#wire();
  }

  /** Connects the signed-in user and keeps connected until `stop` or until the login ends. */
  start() {
    this.outbox.open(this.auth.userId);
    this.#unwatch();
    this.#unwatch = watchBrowser({ connection: this.connection });
    if (!this.#onStorage && globalThis.window) {
      this.#onStorage = ({ key }) => {
        this.auth.storageChanged();
        this.outbox.storageChanged(key);
      };
      globalThis.window.addEventListener('storage', this.#onStorage);
    }
    this.connection.connect();
  }

  /** Ends the connection and forgets what was loaded; the login and unsent messages stay on the device. */
  stop(reason = 'stopped') {
    this.#unwatch();
    if (this.#onStorage) globalThis.window.removeEventListener('storage', this.#onStorage);
    this.#onStorage = null;
    this.typing.sent();
    this.receipts.clear();
    this.connection.disconnect(reason);
    this.sync.reset();
    this.outbox.close();
  }

  /** Sends a message, now or when the connection is back. @returns {object} its outbox entry */
  send({ conversation_id, content, reply_to_id }) {
    this.typing.sent();
    return this.outbox.add({ conversation_id, content, reply_to_id });
  }

  /**
   * Gives a message of the user's own another text. Everybody, this client too, hears of it by `message.edited`.
   * @throws {GreenroomError} the server's refusal, or `disconnected`
   */
  edit({ conversation_id, message_id, content }) {
    return this.connection.request('message.edit', { conversation_id, message_id, content });
  }

  /** Deletes a message. @param {'everyone'|'me'} [who] for whom; `me` hides it from this user alone */
  delete({ conversation_id, message_id }, who = 'everyone') {
    return this.connection.request('message.delete', { conversation_id, message_id, for: who });
  }

  /**
   * Adds the user's reaction to a message or takes it back; both may be repeated.
   * @returns {Promise<{action: 'added'|'removed'|'unchanged'}>}
   */
  react({ conversation_id, message_id, emoji }, on = true) {
    return this.connection.request(on ? 'reaction.add' : 'reaction.remove', { conversation_id, message_id, emoji });
  }

  /** Presence of these users, now and from now on, as far as one may see it. */
  async watchPresence(userIds) {
    const found = {};
    for (let from = 0; from < userIds.length; from += 100) {
      const part = userIds.slice(from, from + 100);
      Object.assign(found, (await this.connection.request('presence.subscribe', { user_ids: part })).users ?? {});
    }
    return found;
  }

  #deliver({ conversation_id, content, reply_to_id, temp_id }) {
    const payload = { conversation_id, content, temp_id };
    if (reply_to_id) payload.reply_to_id = reply_to_id;
    return this.connection.request('message.send', payload);
  }

  #wire() {
    for (const name of ['signed-in', 'user']) this.auth.on(name, (value) => this.emit(name, value));
    this.auth.on('signed-out', (code) => {
      this.stop('signed_out');
      this.emit('signed-out', code);
    });
    this.connection.on('state', (value) => this.emit('connection', value));
    for (const name of ['snapshot', 'reload', 'reads']) this.sync.on(name, (value) => this.emit(name, value));
    this.sync.on('gone', (value) => this.#gone(value));
    this.sync.on('event', (frame) => this.#event(frame));
    this.sync.on('unready', () => {
      this.outbox.stop();
      this.receipts.stop();
    });
    this.sync.on('ready', () => {
      this.outbox.start();
      this.receipts.start();
      this.emit('ready');
    });
    this.outbox.on('change', (id) => this.emit('outbox', id));
    this.outbox.on('sent', ({ entry, answer }) => {
      this.emit('sent', answer);
      this.sync.expect(entry.conversation_id, answer.rev);
    });
  }

  #gone(value) {
    this.outbox.removeAll(value.conversation_id);
    this.emit('gone', value);
  }

  /** The server has a message of ours: whoever sent it, this tab or another, need not send it again. */
  #event(frame) {
    this.emit('event', frame);
    if (frame.type === 'conversation.removed') this.outbox.removeAll(frame.payload.conversation_id);
    const message = frame.type === 'message.new' ? frame.payload.message : null;
    if (message?.temp_id && message.sender_id === this.auth.userId) this.outbox.remove(message.temp_id);
  }
}

function socketUrl(baseUrl) {
  const url = new URL('/ws', baseUrl || globalThis.location.origin);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** Storage may be forbidden (private windows of some browsers): then everything lives as long as the page. */
function browserStorage() {
  try {
    const probe = 'greenroom.probe';
    globalThis.localStorage.setItem(probe, '1');
    globalThis.localStorage.removeItem(probe);
    return globalThis.localStorage;
  } catch {
    return memoryStorage();
  }
}

/** How tabs that share a storage tell each other what may not stand in it. */
function channelOfTabs() {
  return globalThis.window && globalThis.BroadcastChannel ? new BroadcastChannel('greenroom.login') : null;
}

function memoryStorage() {
  const values = new Map();
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, String(value)),
    removeItem: (key) => void values.delete(key),
  };
}
