// Keeping the client up to date with the server's log.
// This file contains the first snapshot, resuming after every reconnect, and requests for missing events. It emits
// every event once and in order. It must not contain what an event means for the screen.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { Streams, USER, streamOf } from './streams.js';

/** The most conversations in one `sync` frame. The frame stays well below the limit of 64 KiB. */
const MAX_SYNC_CONVERSATIONS = 500;
/** How long to wait for the event of a revision that an answer named, in milliseconds. */
const EVENT_WAIT_MS = 3_000;
/** The delay before a stream is loaded again, because the missing event may still come, in milliseconds. */
const RELOAD_DELAY_MS = 2_000;
/** The delay before a failed reload is repeated, in milliseconds: `min` and a random part, which grows. */
const RETRY_MS = { min: 1_000, base: 2_000, cap: 30_000 };
/** The most conversations to load again at a time. */
const RELOADS_AT_ONCE = 4;
/** How often a running `sync` is checked, in milliseconds. It has failed if no event came since the last check. */
const SYNC_CHECK_MS = 20_000;
/** A `sync` without an answer after this time has failed, even if events still come. In milliseconds. */
const SYNC_TIMEOUT_MS = 120_000;

/**
 * The events of the signed-in user, from the server's log.
 *
 * Emits
 * - `snapshot` {conversations}: the whole list, which replaces everything known;
 * - `reload` {conversation, page}: one conversation again, with its newest messages;
 * - `gone` {conversation_id, code}: the user left (`left`), was removed (`removed`), or is refused (an error code);
 * - `event` frame: every durable frame once and in the order of its stream, and every ephemeral frame;
 * - `reads` {id: last_read_seq}: the user's own read marks as the server knows them;
 * - `ready`: the client is up to date; `unready`: the connection ended.
 */
export class Sync extends Emitter {
  #connection;
  #api;
  #streams = new Streams();
  #epoch = null;
  #generation = 0;
  #reloading = new Set();
  #reloadCount = 0;
  #reloadQueue = [];
  #removedIds = new Set();
  #addedBeforeSync = new Set();
  #rejoinRevs = new Map();
  #userId = null;
  #eventCount = 0;
  #time;
  #backoff;

  ready = false;

  constructor({ connection, api, time = globalThis, random = Math.random }) {
    super();
    this.#connection = connection;
    this.#api = api;
    this.#time = time;
    this.#backoff = new Backoff({ base: RETRY_MS.base, cap: RETRY_MS.cap, random });
    connection.on('open', (welcome) => this.#opened(welcome));
    connection.on('close', () => this.#connectionLost());
    connection.on('frame', (frame) => this.#receive(frame));
  }

  /** Forgets everything, as when the user signs out. */
  reset() {
    this.#streams.clear();
    this.#removedIds.clear();
    this.#rejoinRevs.clear();
    this.#epoch = null;
    this.#connectionLost();
  }

  /** Returns the revision up to which everything of a conversation was applied; null if it is not known. */
  rev(conversationId) {
    return this.#streams.rev(conversationId);
  }

  /**
   * Follows a new conversation, from its event or from an answer over REST. The server has subscribed this session from
   * the `last_rev` of the event (after the first `sync`; before it, see `#subscribeAdded`). Frames that came before the
   * event were held, and are applied now.
   */
  addConversation(conversation) {
    this.#removedIds.delete(conversation.id);
    if (!this.ready) this.#addedBeforeSync.add(conversation.id);
    if (this.#streams.has(conversation.id)) {
      if (conversation.last_rev > this.#streams.rev(conversation.id))
        this.#rejoinRevs.set(conversation.id, conversation.last_rev);
      return;
    }
    this.#apply(this.#streams.setRev(conversation.id, conversation.last_rev));
  }

  /** Loads a conversation and its newest messages again. Events that come meanwhile are held and applied after it. */
  async reload(id) {
    if (this.#reloading.has(id)) return;
    this.#reloading.add(id);
    this.#streams.beginLoad(id);
    const generation = this.#generation;
    await this.#acquireReloadPermit();
    try {
      if (generation !== this.#generation) return;
      const conversation = await this.#api.conversation(id);
      const page = await this.#api.messages(id);
      if (generation !== this.#generation) return;
      this.#backoff.reset();
      this.emit('reload', { conversation, page });
      this.#apply(this.#streams.finishLoad(id, Math.min(conversation.last_rev, page.rev)));
    } catch (error) {
      if (generation !== this.#generation) return;
      if (error.retryAfterMs) await this.#sleep(error.retryAfterMs);
      if (generation === this.#generation) this.#reloadFailed(id, error);
    } finally {
      if (generation === this.#generation) this.#reloading.delete(id);
      this.#releaseReloadPermit();
    }
  }

  /** Waits until few other conversations are being loaded. After a week there may be a thousand to load. */
  async #acquireReloadPermit() {
    if (this.#reloadCount === RELOADS_AT_ONCE) await new Promise((resolve) => this.#reloadQueue.push(resolve));
    else this.#reloadCount += 1;
  }

  #releaseReloadPermit() {
    const next = this.#reloadQueue.shift();
    if (next) next();
    else this.#reloadCount -= 1;
  }

  #sleep(ms) {
    return new Promise((resolve) => this.#time.setTimeout(resolve, ms));
  }

  /**
   * Makes sure that the events of a conversation up to `rev`, which an answer named, arrive soon. If they do not, they
   * are requested like any other missing events.
   */
  expectRev(id, rev) {
    const isMissing = () => this.#streams.has(id) && this.#streams.rev(id) < rev;
    if (isMissing()) this.#schedule(() => isMissing() && this.#fillGap(id), EVENT_WAIT_MS);
  }

  async #opened(welcome) {
    const generation = ++this.#generation;
    this.#userId = welcome.user_id;
    const isCurrent = () => generation === this.#generation;
    try {
      if (this.#epoch === null) await this.#loadSnapshot(welcome, isCurrent);
      if (isCurrent()) await this.#resume(isCurrent);
    } catch (error) {
      if (isCurrent() && error.code !== 'disconnected') this.#connection.restart();
    }
  }

  /**
   * Loads all conversations. The revision of the user's stream is older than the list. The events in between follow,
   * and applying them to the newer list changes nothing.
   */
  async #loadSnapshot(welcome, isCurrent) {
    this.#streams.clear();
    this.#streams.beginLoad(USER);
    const conversations = await this.#listConversations();
    if (!isCurrent()) return;
    for (const [id, rev] of Object.entries(welcome.conversations ?? {})) this.#streams.setRev(id, rev);
    for (const conversation of conversations) this.#streams.setRev(conversation.id, conversation.last_rev);
    this.#epoch = welcome.epoch;
    this.emit('snapshot', { conversations });
    this.#apply(this.#streams.setRev(USER, welcome.user_rev));
  }

  /**
   * Lists all conversations, also archived ones. One that moves between the two answers is in both; the later one wins.
   */
  async #listConversations() {
    const byId = new Map();
    for (const archived of [false, true]) {
      for (const conversation of await this.#api.conversations({ archived })) byId.set(conversation.id, conversation);
    }
    return [...byId.values()];
  }

  async #resume(isCurrent) {
    const entries = Object.entries(this.#streams.revisions());
    const common = { user_rev: this.#streams.rev(USER), epoch: this.#epoch };
    for (; entries.length > MAX_SYNC_CONVERSATIONS; entries.splice(0, MAX_SYNC_CONVERSATIONS)) {
      this.#connection.send('sync', {
        conversations: Object.fromEntries(entries.slice(0, MAX_SYNC_CONVERSATIONS)),
        ...common,
        more: true,
      });
    }
    const answer = await this.#requestSync({ conversations: Object.fromEntries(entries), ...common });
    if (!isCurrent()) return;
    for (const { id, code } of answer.denied ?? []) this.#conversationGone(id, code);
    this.emit('reads', answer.reads ?? {});
    for (const [id, rev] of Object.entries(answer.conversations ?? {})) this.expectRev(id, rev);
    this.ready = true;
    this.emit('ready');
    this.#subscribeAdded();
    for (const stream of this.#streams.gaps()) this.#fillGap(stream);
  }

  /**
   * Subscribes to conversations that the user was added to before the session's first `sync`: the server announces
   * them, but does not subscribe the session to them. For a conversation that the `sync` named this changes nothing.
   */
  #subscribeAdded() {
    const added = [...this.#addedBeforeSync].filter((id) => this.#streams.has(id));
    this.#addedBeforeSync.clear();
    if (added.length === 0) return;
    const conversations = Object.fromEntries(added.map((id) => [id, this.#streams.rev(id)]));
    this.#requestSync({ conversations }).catch(() => {});
  }

  /**
   * Sends a `sync`. The answer comes after the missing events, so the time it takes depends on their number. The
   * request waits as long as events come, up to a limit. If no event comes, the server has lost the request: then the
   * connection restarts, and a new `sync` continues after the events that came.
   */
  #requestSync(payload) {
    const generation = this.#generation;
    let timer;
    const check = (remainingMs) => {
      const countBefore = this.#eventCount;
      timer = this.#time.setTimeout(() => {
        if (generation !== this.#generation) return;
        if (countBefore === this.#eventCount || remainingMs <= SYNC_CHECK_MS) this.#connection.restart();
        else check(remainingMs - SYNC_CHECK_MS);
      }, SYNC_CHECK_MS);
    };
    check(SYNC_TIMEOUT_MS);
    const answer = this.#connection.request('sync', payload, { timeoutMs: null });
    return answer.finally(() => this.#time.clearTimeout(timer));
  }

  #connectionLost() {
    this.#generation += 1;
    this.#reloading.clear();
    this.#addedBeforeSync.clear();
    this.#streams.dropHeld();
    if (!this.ready) return;
    this.ready = false;
    this.emit('unready');
  }

  #receive(frame) {
    if (frame.type === 'sync.reset') return this.#handleReset(frame.payload ?? {});
    if (!Number.isInteger(frame.rev)) return this.emit('event', frame);
    this.#eventCount += 1;
    const stream = streamOf(frame);
    if (stream === null || this.#removedIds.has(stream)) return undefined;
    const { apply, result } = this.#streams.receive(stream, frame);
    this.#apply(apply);
    if (result === 'gap' && this.ready) this.#fillGap(stream);
    if (result === 'unknown' && stream !== USER)
      this.#schedule(() => !this.#streams.has(stream) && this.reload(stream));
    return undefined;
  }

  #handleReset({ conversation_id: id }) {
    if (id) return void this.reload(id);
    // The server has another history, as after a restored backup. Start again like a new client, after the usual delay.
    this.#epoch = null;
    return this.#connection.restart();
  }

  #apply(frames) {
    for (const frame of frames) {
      if (frame.type === 'conversation.removed') this.#forget(frame.payload.conversation_id);
      this.emit('event', frame);
      if (frame.type === 'conversation.created') this.addConversation(frame.payload.conversation);
      if (frame.type === 'participant.left' && frame.payload.user_id === this.#userId) this.#handleOwnLeave(frame);
    }
  }

  /**
   * Handles the last event of a conversation that the user sees. The event that added the user again comes on the
   * user's own stream, and may have arrived already. Then continue from its revision and load what happened in between.
   */
  #handleOwnLeave({ rev, payload: { conversation_id: id, reason } }) {
    const rejoinRev = this.#rejoinRevs.get(id) ?? 0;
    this.#rejoinRevs.delete(id);
    if (rejoinRev < rev) return this.#conversationGone(id, reason);
    this.#streams.setRev(id, rejoinRev);
    this.#requestSync({ conversations: { [id]: rejoinRev } }).catch(() => {});
    return this.reload(id);
  }

  /** Requests a missing revision on an open connection. If it does not come, loads the stream again. */
  async #fillGap(stream) {
    const rev = this.#streams.rev(stream);
    const payload = stream === USER ? { conversations: {}, user_rev: rev } : { conversations: { [stream]: rev } };
    const answer = await this.#requestSync(payload).catch(() => null);
    this.#schedule(() => {
      const isBehind = stream !== USER && this.#streams.rev(stream) < (answer?.conversations?.[stream] ?? 0);
      if (!isBehind && !this.#streams.isIncomplete(stream)) return;
      if (stream === USER) this.#handleReset({ conversation_id: null });
      else this.reload(stream);
    });
  }

  #reloadFailed(id, error) {
    if (error.status === 403 || error.status === 404) return this.#conversationGone(id, error.code);
    this.#streams.abandonLoad(id);
    return this.#schedule(() => this.reload(id), RETRY_MS.min + this.#backoff.next());
  }

  #conversationGone(id, code) {
    this.#forget(id);
    this.emit('gone', { conversation_id: id, code });
  }

  /** Forgets a conversation. Its last events may come after the user left it, and are ignored. */
  #forget(id) {
    this.#rejoinRevs.delete(id);
    this.#streams.remove(id);
    this.#removedIds.add(id);
  }

  #schedule(task, delayMs = RELOAD_DELAY_MS) {
    const generation = this.#generation;
    this.#time.setTimeout(() => {
      if (generation === this.#generation) task();
    }, delayMs);
  }
}
