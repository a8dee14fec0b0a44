// Messages on their way out.
// Lives here: a queue per conversation that survives a reload, sends one message at a time in the order of writing, and
// sends each until the server has answered for its `temp_id`. May not live here: the socket, or how a message looks.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { uuid } from './ids.js';

/**
 * An entry: `{temp_id, conversation_id, content, reply_to_id, created_at, order, state, error}`; `state` is `queued`,
 * `sending` or `failed`, `error` the code of the refusal. Each entry has a storage key of its own, so that two tabs
 * never overwrite each other's; both may send the same entry, which the `temp_id` makes harmless.
 *
 * Emits `change` (conversation_id) and `sent` ({entry, answer}).
 */
export class Outbox extends Emitter {
  #storage;
  #send;
  #time;
  #random;
  #userId = null;
  #entries = new Map();
  #busy = new Set();
  #pauses = new Map();
  #running = false;
  #counter = 0;

  /** @param {{storage: Storage, send: (entry: object) => Promise<object>, time?: object, random?: () => number}} options */
  constructor({ storage, send, time = globalThis, random = Math.random }) {
    super();
    this.#storage = storage;
    this.#send = send;
    this.#time = time;
    this.#random = random;
  }

  /** Takes up what this user left unsent on this device. */
  open(userId) {
    this.close();
    this.#userId = userId;
    for (const entry of this.#stored()) this.#entries.set(entry.temp_id, entry);
    for (const id of this.#conversations()) this.emit('change', id);
  }

  /** Lets go of the user; what is unsent stays on the device. */
  close() {
    this.stop();
    this.#userId = null;
    this.#entries.clear();
  }

  /** Messages of a conversation that are not acknowledged, in the order of writing. */
  of(conversationId) {
    return [...this.#entries.values()]
      .filter((entry) => entry.conversation_id === conversationId)
      .sort((a, b) => a.order - b.order);
  }

  /** Puts a message in line. @returns {object} the entry */
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
    this.#keep(entry);
    this.#pump(conversation_id);
    return entry;
  }

  /** The way to the server is open. */
  start() {
    this.#running = true;
    for (const id of this.#conversations()) this.#pump(id);
  }

  /** The way to the server is closed; whoever is under way comes back to the queue by its own failure. */
  stop() {
    this.#running = false;
    for (const { timer } of this.#pauses.values()) this.#time.clearTimeout(timer);
    this.#pauses.clear();
  }

  /** Puts a refused message in line again, behind what was written since. */
  retry(tempId) {
    const entry = this.#entries.get(tempId);
    if (!entry || entry.state !== 'failed') return;
    this.#counter = (this.#counter + 1) % 1000;
    this.#keep({ ...entry, state: 'queued', error: null, order: Date.now() * 1000 + this.#counter });
    this.#pump(entry.conversation_id);
  }

  /** Gives a message up, or notes that the server has it. */
  remove(tempId) {
    const entry = this.#entries.get(tempId);
    if (!entry) return;
    this.#entries.delete(tempId);
    this.#storage.removeItem(this.#key(tempId));
    this.emit('change', entry.conversation_id);
  }

  /** Gives up everything written to a conversation that is no more. */
  removeAll(conversationId) {
    for (const entry of this.of(conversationId)) this.remove(entry.temp_id);
  }

  /** Another tab changed storage under `key` (null: everything). */
  storageChanged(key) {
    if (this.#userId === null || (key !== null && !key.startsWith(this.#key('')))) return;
    const stored = new Map(this.#stored().map((entry) => [entry.temp_id, entry]));
    const touched = new Set();
    for (const entry of this.#entries.values()) {
      if (stored.has(entry.temp_id) || entry.unsaved) continue;
      this.#entries.delete(entry.temp_id);
      touched.add(entry.conversation_id);
    }
    for (const entry of stored.values()) {
      if (this.#entries.has(entry.temp_id)) continue;
      this.#entries.set(entry.temp_id, entry);
      touched.add(entry.conversation_id);
    }
    for (const id of touched) {
      this.emit('change', id);
      this.#pump(id);
    }
  }

  async #pump(conversationId) {
    if (!this.#running || this.#busy.has(conversationId) || this.#pauses.get(conversationId)?.timer) return;
    const entry = this.of(conversationId).find(({ state }) => state === 'queued');
    if (!entry) return;
    this.#busy.add(conversationId);
    this.#note({ ...entry, state: 'sending' });
    try {
      const answer = await this.#send(entry);
      this.#pauses.delete(conversationId);
      this.emit('sent', { entry, answer });
      this.remove(entry.temp_id);
    } catch (error) {
      this.#refused(entry, error);
    }
    this.#busy.delete(conversationId);
    this.#pump(conversationId);
  }

  #refused(entry, error) {
    if (!this.#entries.has(entry.temp_id)) return;
    if (!error.transient) return this.#keep({ ...entry, state: 'failed', error: error.code ?? 'unknown' });
    this.#note({ ...entry, state: 'queued' });
    // Without a connection the next `start` is the signal; with one, the server asked for patience.
    if (this.#running && error.code !== 'disconnected') this.#pause(entry.conversation_id, error.retryAfterMs);
    return undefined;
  }

  #pause(conversationId, least) {
    const pause = this.#pauses.get(conversationId) ?? { backoff: new Backoff({ random: this.#random }) };
    const resume = () => {
      pause.timer = null;
      this.#pump(conversationId);
    };
    pause.timer = this.#time.setTimeout(resume, (least ?? 0) + pause.backoff.next());
    this.#pauses.set(conversationId, pause);
  }

  #note(entry) {
    this.#entries.set(entry.temp_id, entry);
    this.emit('change', entry.conversation_id);
  }

  /** A full or forbidden storage must not stop anybody from writing: then the entry lives as long as this page. */
  #keep(entry) {
    try {
      this.#storage.setItem(this.#key(entry.temp_id), JSON.stringify({ ...entry, unsaved: undefined }));
      this.#note({ ...entry, unsaved: undefined });
    } catch {
      this.#note({ ...entry, unsaved: true });
    }
  }

  #conversations() {
    return new Set([...this.#entries.values()].map((entry) => entry.conversation_id));
  }

  #key(tempId) {
    return `greenroom.outbox.${this.#userId}.${tempId}`;
  }

  #stored() {
    const found = [];
    for (let index = 0; index < this.#storage.length; index += 1) {
      const key = this.#storage.key(index);
      if (!key?.startsWith(this.#key(''))) continue;
      try {
        found.push(JSON.parse(this.#storage.getItem(key)));
      } catch {
        // Not ours to read: left alone.
      }
    }
    return found;
  }
}
