// Messages that are not sent yet.
// This file contains a queue for each conversation, which survives a reload. It sends one message at a time, in the
// order of writing, until the server has acknowledged its `temp_id`. It must not contain code for the socket or the
// screen.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { uuid } from './ids.js';

/**
 * The unsent messages of the signed-in user.
 *
 * An entry: `{temp_id, conversation_id, content, reply_to_id, created_at, order, state, error}`; `state` is `queued`,
 * `sending` or `failed`; `error` is the error code of the refusal. Each entry has its own storage key, so that two tabs
 * never overwrite entries of each other. Both may send the same entry: the server stores one `temp_id` once.
 *
 * Emits `change` (conversation id) and `sent` ({entry, answer}).
 */
export class Outbox extends Emitter {
  #storage;
  #send;
  #time;
  #random;
  #userId = null;
  #entries = new Map();
  #sending = new Set();
  #pauses = new Map();
  #running = false;
  #counter = 0;

  /**
   * @param {{storage: Storage, send: (entry: object) => Promise<object>, time?: object, random?: () => number}} options
   *   `send`: sends an entry and resolves with the answer of the server
   */
  constructor({ storage, send, time = globalThis, random = Math.random }) {
    super();
    this.#storage = storage;
    this.#send = send;
    this.#time = time;
    this.#random = random;
  }

  /** Loads the unsent messages that this user left on this device. */
  open(userId) {
    this.close();
    this.#userId = userId;
    for (const entry of this.#readStored()) this.#entries.set(entry.temp_id, entry);
    for (const id of this.#conversations()) this.emit('change', id);
  }

  /** Forgets the user. Unsent messages stay on the device. */
  close() {
    this.stop();
    this.#userId = null;
    this.#entries.clear();
  }

  /** Returns the messages of a conversation that are not acknowledged, in the order of writing. */
  of(conversationId) {
    return [...this.#entries.values()]
      .filter((entry) => entry.conversation_id === conversationId)
      .sort((a, b) => a.order - b.order);
  }

  /**
   * Queues a message.
   * @param {{conversation_id: string, content: string, reply_to_id?: string|null}} message
   * @returns {object} the entry
   */
  add({ conversation_id, content, reply_to_id = null }) {
    const now = Date.now();
    this.#counter = (this.#counter + 1) % 1000;
    const entry = {
      temp_id: uuid(),
      conversation_id,
      content,
      reply_to_id,
      created_at: new Date(now).toISOString(),
      order: now * 1000 + this.#counter,
      state: 'queued',
      error: null,
    };
    this.#storeEntry(entry);
    this.#sendNext(conversation_id);
    return entry;
  }

  /** Starts sending: the connection is ready. */
  start() {
    this.#running = true;
    for (const id of this.#conversations()) this.#sendNext(id);
  }

  /** Stops sending: the connection ended. The request under way fails by itself, and its entry is queued again. */
  stop() {
    this.#running = false;
    for (const { timer } of this.#pauses.values()) this.#time.clearTimeout(timer);
    this.#pauses.clear();
  }

  /** Queues a refused message again, after all messages that were written later. */
  retry(tempId) {
    const entry = this.#entries.get(tempId);
    if (!entry || entry.state !== 'failed') return;
    this.#counter = (this.#counter + 1) % 1000;
    this.#storeEntry({ ...entry, state: 'queued', error: null, order: Date.now() * 1000 + this.#counter });
    this.#sendNext(entry.conversation_id);
  }

  /** Removes a message, because the user gave it up or because the server has it. */
  remove(tempId) {
    const entry = this.#entries.get(tempId);
    if (!entry) return;
    this.#entries.delete(tempId);
    this.#storage.removeItem(this.#key(tempId));
    this.emit('change', entry.conversation_id);
  }

  /** Removes all messages of a conversation that does not exist any more for this user. */
  removeAll(conversationId) {
    for (const entry of this.of(conversationId)) this.remove(entry.temp_id);
  }

  /** Follows a change that another tab made in storage under `key`; null means that everything may have changed. */
  storageChanged(key) {
    if (this.#userId === null || (key !== null && !key.startsWith(this.#key('')))) return;
    const stored = new Map(this.#readStored().map((entry) => [entry.temp_id, entry]));
    const changedIds = new Set();
    for (const entry of this.#entries.values()) {
      if (stored.has(entry.temp_id) || entry.unsaved) continue;
      this.#entries.delete(entry.temp_id);
      changedIds.add(entry.conversation_id);
    }
    for (const entry of stored.values()) {
      if (this.#entries.has(entry.temp_id)) continue;
      this.#entries.set(entry.temp_id, entry);
      changedIds.add(entry.conversation_id);
    }
    for (const id of changedIds) {
      this.emit('change', id);
      this.#sendNext(id);
    }
  }

  async #sendNext(conversationId) {
    if (!this.#running || this.#sending.has(conversationId) || this.#pauses.get(conversationId)?.timer) return;
    const entry = this.of(conversationId).find(({ state }) => state === 'queued');
    if (!entry) return;
    this.#sending.add(conversationId);
    this.#setEntry({ ...entry, state: 'sending' });
    try {
      const answer = await this.#send(entry);
      this.#pauses.delete(conversationId);
      this.emit('sent', { entry, answer });
      this.remove(entry.temp_id);
    } catch (error) {
      this.#handleError(entry, error);
    }
    this.#sending.delete(conversationId);
    this.#sendNext(conversationId);
  }

  #handleError(entry, error) {
    if (!this.#entries.has(entry.temp_id)) return;
    if (!error.transient) return this.#storeEntry({ ...entry, state: 'failed', error: error.code ?? 'unknown' });
    this.#setEntry({ ...entry, state: 'queued' });
    // Without a connection, sending continues at the next `start`. With a connection, the server asked to wait.
    if (this.#running && error.code !== 'disconnected') this.#pause(entry.conversation_id, error.retryAfterMs);
    return undefined;
  }

  #pause(conversationId, minDelayMs) {
    const pause = this.#pauses.get(conversationId) ?? { backoff: new Backoff({ random: this.#random }) };
    const resume = () => {
      pause.timer = null;
      this.#sendNext(conversationId);
    };
    pause.timer = this.#time.setTimeout(resume, (minDelayMs ?? 0) + pause.backoff.next());
    this.#pauses.set(conversationId, pause);
  }

  #setEntry(entry) {
    this.#entries.set(entry.temp_id, entry);
    this.emit('change', entry.conversation_id);
  }

  /** Stores an entry. If the storage is full or forbidden, the entry lives as long as this page. */
  #storeEntry(entry) {
    try {
      this.#storage.setItem(this.#key(entry.temp_id), JSON.stringify({ ...entry, unsaved: undefined }));
      this.#setEntry({ ...entry, unsaved: undefined });
    } catch {
      this.#setEntry({ ...entry, unsaved: true });
    }
  }

  #conversations() {
    return new Set([...this.#entries.values()].map((entry) => entry.conversation_id));
  }

  #key(tempId) {
    return `greenroom.outbox.${this.#userId}.${tempId}`;
  }

  #readStored() {
    const entries = [];
    for (let index = 0; index < this.#storage.length; index += 1) {
      const key = this.#storage.key(index);
      if (!key?.startsWith(this.#key(''))) continue;
      try {
        entries.push(JSON.parse(this.#storage.getItem(key)));
      } catch {
        // The entry was not written by this code. Leave it alone.
      }
    }
    return entries;
  }
}
