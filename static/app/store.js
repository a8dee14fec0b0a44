// The state of the app.
// This file contains the one state object, and calls the views whose part of it changed. It must not contain the
// changes (state/ applies facts from the server, actions/ what the user does).

/**
 * The state and the views that watch it. Topics: `phase`, `me`, `connection`, `conversations`, `presence`, `room:<id>`,
 * `members:<id>`, `typing:<id>`, `outbox:<id>`, `pins:<id>`, `mentions`, `blocks`. A view names the topics it shows,
 * and is called once for all changes that running code makes.
 */
export class Store {
  #watchers = new Set();
  #changed = new Set();

  state = emptyState();

  /** Marks topics as changed. Their watchers are called when the running code has ended. */
  touch(...topics) {
    if (this.#changed.size === 0) queueMicrotask(() => this.#notify());
    for (const topic of topics) this.#changed.add(topic);
  }

  /** Calls `listener` after changes of any of `topics`. @returns {() => void} a function that ends this */
  watch(topics, listener) {
    const watcher = { topics: new Set(topics), listener };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Forgets all data of the user who signed out. */
  clear() {
    const { phase, connection } = this.state;
    this.state = { ...emptyState(), phase, connection };
    this.touch('me', 'conversations', 'presence', 'mentions', 'blocks');
  }

  #notify() {
    const changed = this.#changed;
    this.#changed = new Set();
    for (const watcher of [...this.#watchers]) {
      if (this.#watchers.has(watcher) && overlaps(watcher.topics, changed)) watcher.listener();
    }
  }
}

function overlaps(a, b) {
  for (const one of a) if (b.has(one)) return true;
  return false;
}

function emptyState() {
  return {
    /** `starting`, `signed-out` or `signed-in` */
    phase: 'starting',
    me: null,
    connection: { state: 'idle', reason: null, retryAt: null, upToDate: false },
    /** Whether the list of conversations was ever loaded. */
    isListLoaded: false,
    /** id → Conversation, each with `countedRev` and `archivedSeq` (state/conversations.js) */
    conversations: new Map(),
    /** id → the loaded messages of a conversation (state/rooms.js, state/message-window.js) */
    rooms: new Map(),
    /** conversation id → { items: [Participant], status } */
    members: new Map(),
    /** conversation id → { items: [Message], status } of the pinned messages, if the user opened the list */
    pins: new Map(),
    /** conversation id → Set of `seq` of messages that mention this user */
    mentions: new Map(),
    /** user id → Block, of the users whom this user has blocked */
    blocks: new Map(),
    /** user id → UserBrief, of all users known so far */
    people: new Map(),
    /** user id → { status, last_seen_at } */
    presence: new Map(),
    /** conversation id → Map of user id → name */
    typing: new Map(),
    /** conversation id → unacknowledged messages, in the order of writing */
    outbox: new Map(),
  };
}
