// The client SDK of Greenroom: `import { Greenroom } from '/sdk/greenroom.js'`.
// This file contains the object that connects the parts of the SDK. It must not contain logic that belongs to a part:
//   auth.js      the login of this device, tokens     api.js      REST calls (uses http.js, errors.js)
//   socket.js    connection, heartbeat, reconnecting  sync.js     snapshot, resuming, order of events (uses streams.js)
//   outbox.js    messages that are not sent yet       receipts.js, typing.js   marks and typing
//   browser-events.js   network and visibility of the page
// The SDK runs in a browser. It also runs in Node if the caller passes WebSocket, fetch and storage.

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
import { watchBrowser } from './browser-events.js';

export { GreenroomError };

/**
 * One user's connection to a Greenroom server.
 *
 * Emits `signed-in` (user), `signed-out` (code), `user` (user), `connection` ({state, reason, retryAt}), `ready`,
 * `snapshot`, `reload`, `gone`, `reads`, `event` (see sync.js), `outbox` (conversation id) and `sent` ({message, rev}).
 *
 * @example
 * const client = new Greenroom();
 * client.on('event', (frame) => console.log(frame.type, frame.payload));
 * await client.auth.login({ login: 'ana', password: '…' });
 * client.start();
 * client.send({ conversation_id, content: 'Hello' });
 */
export class Greenroom extends Emitter {
  #unwatch = () => {};
  #onStorage = null;

  /**
   * @param {{baseUrl?: string, ticket?: boolean, fetch?: typeof fetch, WebSocket?: typeof WebSocket,
   *   storage?: Storage, locks?: LockManager|null}} [options] `baseUrl`: a server of another origin, which must allow
   *   this one; `ticket`: authenticate the socket with a ticket in its address, for networks that drop subprotocols
   */
  constructor({ baseUrl = '', ticket = false, fetch, WebSocket, storage, locks } = {}) {
    super();
    const usedStorage = storage ?? browserStorage();
    const http = new Http({ baseUrl, fetch });
    this.auth = new Auth({
      http,
      storage: usedStorage,
      locks: locks === undefined ? globalThis.navigator?.locks : locks,
      channel: storage ? null : tabChannel(),
    });
    this.api = new Api({ http, auth: this.auth });
    this.connection = new Connection({
      url: () => socketUrl(baseUrl),
      auth: this.auth,
      ticket: ticket ? () => this.api.ticket() : null,
      WebSocket,
    });
    this.sync = new Sync({ connection: this.connection, api: this.api });
    this.outbox = new Outbox({ storage: usedStorage, send: (entry) => this.#sendEntry(entry) });
    this.typing = new Typing({ send: (type, payload) => this.connection.send(type, payload) });
    this.receipts = new Receipts({ request: (type, payload) => this.connection.request(type, payload) });
    this.#connectParts();
  }

  /** Connects the signed-in user. The client reconnects until `stop` or until the login ends. */
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

  /** Closes the connection and forgets what was loaded. The login and unsent messages stay on the device. */
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

  /**
   * Sends a message, now or after the next reconnect.
   * @param {{conversation_id: string, content: string, reply_to_id?: string}} message
   * @returns {object} its entry in the outbox
   */
  send({ conversation_id, content, reply_to_id }) {
    this.typing.sent();
    return this.outbox.add({ conversation_id, content, reply_to_id });
  }

  /**
   * Changes the text of a message of this user. All participants, and this client, get `message.edited`.
   * @param {{conversation_id: string, message_id: string, content: string}} message
   * @throws {GreenroomError} the refusal of the server, `timeout`, or `disconnected`
   */
  edit({ conversation_id, message_id, content }) {
    return this.connection.request('message.edit', { conversation_id, message_id, content });
  }

  /**
   * Deletes a message.
   * @param {{conversation_id: string, message_id: string}} message
   * @param {'everyone'|'me'} [scope] `me` hides the message from this user only
   * @throws {GreenroomError} as `edit`
   */
  delete({ conversation_id, message_id }, scope = 'everyone') {
    return this.connection.request('message.delete', { conversation_id, message_id, for: scope });
  }

  /**
   * Adds a reaction of this user to a message, or removes it. A repetition changes nothing.
   * @param {{conversation_id: string, message_id: string, emoji: string}} reaction
   * @param {boolean} [on] false removes the reaction
   * @returns {Promise<{action: 'added'|'removed'|'unchanged'}>}
   * @throws {GreenroomError} as `edit`
   */
  react({ conversation_id, message_id, emoji }, on = true) {
    return this.connection.request(on ? 'reaction.add' : 'reaction.remove', { conversation_id, message_id, emoji });
  }

  /**
   * Subscribes to the presence of users, as far as this user may see it. Changes come as `presence.update` events.
   * @param {string[]} userIds
   * @returns {Promise<object>} the present status by user id
   */
  async watchPresence(userIds) {
    const statuses = {};
    for (let from = 0; from < userIds.length; from += 100) {
      const ids = userIds.slice(from, from + 100);
      Object.assign(statuses, (await this.connection.request('presence.subscribe', { user_ids: ids })).users ?? {});
    }
    return statuses;
  }

  #sendEntry({ conversation_id, content, reply_to_id, temp_id }) {
    const payload = { conversation_id, content, temp_id };
    if (reply_to_id) payload.reply_to_id = reply_to_id;
    return this.connection.request('message.send', payload);
  }

  #connectParts() {
    for (const name of ['signed-in', 'user']) this.auth.on(name, (value) => this.emit(name, value));
    this.auth.on('signed-out', (code) => {
      this.stop('signed_out');
      this.emit('signed-out', code);
    });
    this.connection.on('state', (value) => this.emit('connection', value));
    for (const name of ['snapshot', 'reload', 'reads']) this.sync.on(name, (value) => this.emit(name, value));
    this.sync.on('gone', (value) => this.#conversationGone(value));
    this.sync.on('event', (frame) => this.#handleEvent(frame));
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
      this.sync.expectRev(entry.conversation_id, answer.rev);
    });
  }

  #conversationGone(value) {
    this.outbox.removeAll(value.conversation_id);
    this.emit('gone', value);
  }

  /** Passes an event on. A message of this user that the server has need not be sent again, by this tab or another. */
  #handleEvent(frame) {
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

/**
 * Returns the storage of the browser. If it is forbidden, as in some private windows, data lives as long as the page.
 */
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

/** Returns the channel over which tabs exchange what must not be in storage. */
function tabChannel() {
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
