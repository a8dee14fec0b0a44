// Staying level with the log.
// Lives here: the first snapshot, resuming from the held revisions after every (re)connect, and mending what is missing.
// Everything that leaves this room leaves it in order and once. May not live here: what an event means for the screen.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { Streams, USER, streamOf } from './streams.js';

/** Conversations named in one `sync` frame, well inside the frame limit of 64 KiB. */
const PART = 500;
/** How long a revision that an answer named may still be on its way, in milliseconds. */
const PATIENCE = 3_000;
/** Pause before a stream is loaded anew that may come by itself, in milliseconds. */
const RELOAD_PAUSE = 2_000;
/** Before a failed reload is tried again, in milliseconds: a least pause, and beyond it one at random that grows. */
const RETRY = { least: 1_000, base: 2_000, cap: 30_000 };
/** Conversations loaded anew at a time. */
const RELOADS = 4;
/** So often a `sync` under way is looked at: one during which no event came meanwhile has failed, in milliseconds. */
const SYNC_QUIET = 20_000;
/** One that is not answered within this has failed, whatever comes meanwhile, in milliseconds. */
const SYNC_LIMIT = 120_000;

/**
 * Emits
 * - `snapshot` {conversations}: the whole list, replacing what was known;
 * - `reload` {conversation, page}: one conversation anew, with its newest messages;
 * - `gone` {conversation_id, code}: the user left, was removed (`left`, `removed`) or is refused (an error code);
 * - `event` frame: every durable frame once and in order per stream, and every ephemeral one;
 * - `reads` {id: last_read_seq}: the user's own marks as the server knows them;
 * - `ready`: level with the server; `unready`: the connection ended.
 */
export class Sync extends Emitter {
  #connection;
  #api;
  #streams = new Streams();
  #epoch = null;
  #generation = 0;
  #mending = new Set();
  #reloads = 0;
  #waiting = [];
  #left = new Set();
  #early = new Set();
  #returned = new Map();
  #userId = null;
  #events = 0;
  #time;
  #backoff;

  ready = false;

  constructor({ connection, api, time = globalThis, random = Math.random }) {
    super();
    this.#connection = connection;
    this.#api = api;
    this.#time = time;
    this.#backoff = new Backoff({ base: RETRY.base, cap: RETRY.cap, random });
    connection.on('open', (welcome) => this.#opened(welcome));
    connection.on('close', () => this.#lost());
    connection.on('frame', (frame) => this.#frame(frame));
  }

  /** Forgets everything, as on signing out. */
  reset() {
    this.#streams.clear();
    this.#left.clear();
    this.#returned.clear();
    this.#epoch = null;
    this.#lost();
  }

  /** Revision up to which everything of a conversation was seen; null while unknown. */
  rev(conversationId) {
    return this.#streams.rev(conversationId);
  }

  /**
   * Follows a new conversation, which its event or an answer over REST brought. The server subscribed this session from
   * the `last_rev` in the event; frames that overtook it wait here and are applied now.
   */
  adopt(conversation) {
    this.#left.delete(conversation.id);
    if (!this.ready) this.#early.add(conversation.id);
    if (this.#streams.has(conversation.id)) {
      if (conversation.last_rev > this.#streams.rev(conversation.id))
        this.#returned.set(conversation.id, conversation.last_rev);
      return;
    }
    this.#apply(this.#streams.set(conversation.id, conversation.last_rev));
  }

  /** Loads a conversation and its newest messages anew; events that come meanwhile wait and follow. */
  async reload(id) {
    if (this.#mending.has(id)) return;
    this.#mending.add(id);
    this.#streams.begin(id);
    const generation = this.#generation;
    await this.#place();
    try {
      if (generation !== this.#generation) return;
      const conversation = await this.#api.conversation(id);
      const page = await this.#api.messages(id);
      if (generation !== this.#generation) return;
      this.#backoff.reset();
      this.emit('reload', { conversation, page });
      this.#apply(this.#streams.finish(id, Math.min(conversation.last_rev, page.rev)));
    } catch (error) {
      if (generation !== this.#generation) return;
      if (error.retryAfterMs) await this.#pause(error.retryAfterMs);
      if (generation === this.#generation) this.#reloadFailed(id, error);
    } finally {
      if (generation === this.#generation) this.#mending.delete(id);
      this.#leavePlace();
    }
  }

  /** Waits until few others are loaded anew: after a week there may be a thousand. */
  async #place() {
    if (this.#reloads === RELOADS) await new Promise((resolve) => this.#waiting.push(resolve));
    else this.#reloads += 1;
  }

  #leavePlace() {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#reloads -= 1;
  }

  #pause(ms) {
    return new Promise((resolve) => this.#time.setTimeout(resolve, ms));
  }

  /**
   * An answer named a revision of a conversation: its events must be here soon. If they are not, the server is asked for
   * them, as for any other that is missing.
   */
  expect(id, rev) {
    const missing = () => this.#streams.has(id) && this.#streams.rev(id) < rev;
    if (missing()) this.#later(() => missing() && this.#mend(id), PATIENCE);
  }

  async #opened(welcome) {
    const generation = ++this.#generation;
    this.#userId = welcome.user_id;
    const current = () => generation === this.#generation;
    try {
      if (this.#epoch === null) await this.#snapshot(welcome, current);
      if (current()) await this.#resume(current);
    } catch (error) {
      if (current() && error.code !== 'disconnected') this.#connection.restart();
    }
  }

  /**
   * The revision of the user's stream is older than the list, those of the conversations come with it: what happened in
   * between follows, and applying it to the newer list changes nothing.
   */
  async #snapshot(welcome, current) {
    this.#streams.clear();
    this.#streams.begin(USER);
    const conversations = await this.#list();
    if (!current()) return;
    for (const [id, rev] of Object.entries(welcome.conversations ?? {})) this.#streams.set(id, rev);
    for (const conversation of conversations) this.#streams.set(conversation.id, conversation.last_rev);
    this.#epoch = welcome.epoch;
    this.emit('snapshot', { conversations });
    this.#apply(this.#streams.set(USER, welcome.user_rev));
  }

  /** All conversations, those put away too; one that moves between the two answers is in both, and the later one holds. */
  async #list() {
    const known = new Map();
    for (const archived of [false, true]) {
      for (const conversation of await this.#api.conversations({ archived })) known.set(conversation.id, conversation);
    }
    return [...known.values()];
  }

  async #resume(current) {
    const entries = Object.entries(this.#streams.revisions());
    const common = { user_rev: this.#streams.rev(USER), epoch: this.#epoch };
    for (; entries.length > PART; entries.splice(0, PART)) {
      this.#connection.tell('sync', {
        conversations: Object.fromEntries(entries.slice(0, PART)),
        ...common,
        more: true,
      });
    }
    const done = await this.#request({ conversations: Object.fromEntries(entries), ...common });
    if (!current()) return;
    for (const { id, code } of done.denied ?? []) this.#gone(id, code);
    this.emit('reads', done.reads ?? {});
    for (const [id, rev] of Object.entries(done.conversations ?? {})) this.expect(id, rev);
    this.ready = true;
    this.emit('ready');
    this.#followEarly();
    for (const stream of this.#streams.gaps()) this.#mend(stream);
  }

  /**
   * Of conversations gained before the session's first `sync` the server tells, but does not subscribe to them: that is
   * asked for here. For one that `sync` named already it changes nothing.
   */
  #followEarly() {
    const gained = [...this.#early].filter((id) => this.#streams.has(id));
    this.#early.clear();
    if (gained.length === 0) return;
    const conversations = Object.fromEntries(gained.map((id) => [id, this.#streams.rev(id)]));
    this.#request({ conversations }).catch(() => {});
  }

  /**
   * Asks for what was missed. How long that takes depends on how much it is: as long as events come the answer is waited
   * for, up to a limit. A server that says nothing more has lost it: the connection begins anew, and with it the `sync`,
   * from what came so far.
   */
  #request(payload) {
    const generation = this.#generation;
    let timer;
    const watch = (left) => {
      const seen = this.#events;
      timer = this.#time.setTimeout(() => {
        if (generation !== this.#generation) return;
        if (seen === this.#events || left <= SYNC_QUIET) this.#connection.restart();
        else watch(left - SYNC_QUIET);
      }, SYNC_QUIET);
    };
    watch(SYNC_LIMIT);
    return this.#connection.request('sync', payload, { limit: null }).finally(() => this.#time.clearTimeout(timer));
  }

  #lost() {
    this.#generation += 1;
    this.#mending.clear();
    this.#early.clear();
    this.#streams.settle();
    if (!this.ready) return;
    this.ready = false;
    this.emit('unready');
  }

  #frame(frame) {
    if (frame.type === 'sync.reset') return this.#resetBy(frame.payload ?? {});
    if (!Number.isInteger(frame.rev)) return this.emit('event', frame);
    this.#events += 1;
    const stream = streamOf(frame);
    if (stream === null || this.#left.has(stream)) return undefined;
    const { apply, verdict } = this.#streams.offer(stream, frame);
    this.#apply(apply);
    if (verdict === 'gap' && this.ready) this.#mend(stream);
    if (verdict === 'unknown' && stream !== USER) this.#later(() => !this.#streams.has(stream) && this.reload(stream));
    return undefined;
  }

  #resetBy({ conversation_id: id }) {
    if (id) return void this.reload(id);
    // Another history altogether (a restored database): begin again as on the first day, behind the usual wait.
    this.#epoch = null;
    return this.#connection.restart();
  }

  #apply(frames) {
    for (const frame of frames) {
      if (frame.type === 'conversation.removed') this.#forget(frame.payload.conversation_id);
      this.emit('event', frame);
      if (frame.type === 'conversation.created') this.adopt(frame.payload.conversation);
      if (frame.type === 'participant.left' && frame.payload.user_id === this.#userId) this.#leave(frame);
    }
  }

  /**
   * The last event of a conversation that the user sees. The word of having come back travels on the user's own stream
   * and may be here already: then events go on from there, and what was said in between is loaded.
   */
  #leave({ rev, payload: { conversation_id: id, reason } }) {
    const returned = this.#returned.get(id) ?? 0;
    this.#returned.delete(id);
    if (returned < rev) return this.#gone(id, reason);
    this.#streams.set(id, returned);
    this.#request({ conversations: { [id]: returned } }).catch(() => {});
    return this.reload(id);
  }

  /** A revision is missing on a live connection: ask for it, and if it does not come, load the stream anew. */
  async #mend(stream) {
    const rev = this.#streams.rev(stream);
    const payload = stream === USER ? { conversations: {}, user_rev: rev } : { conversations: { [stream]: rev } };
    const done = await this.#request(payload).catch(() => null);
    this.#later(() => {
      const behind = stream !== USER && this.#streams.rev(stream) < (done?.conversations?.[stream] ?? 0);
      if (!behind && !this.#streams.waiting(stream)) return;
      if (stream === USER) this.#resetBy({ conversation_id: null });
      else this.reload(stream);
    });
  }

  #reloadFailed(id, error) {
    if (error.status === 403 || error.status === 404) return this.#gone(id, error.code);
    this.#streams.abandon(id);
    return this.#later(() => this.reload(id), RETRY.least + this.#backoff.next());
  }

  #gone(id, code) {
    this.#forget(id);
    this.emit('gone', { conversation_id: id, code });
  }

  /** The last events of a conversation may come after the word that the user is out of it: they concern nobody here. */
  #forget(id) {
    this.#returned.delete(id);
    this.#streams.forget(id);
    this.#left.add(id);
  }

  #later(task, pause = RELOAD_PAUSE) {
    const generation = this.#generation;
    this.#time.setTimeout(() => {
      if (generation === this.#generation) task();
    }, pause);
  }
}
