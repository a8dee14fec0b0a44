// What the app knows.
// Lives here: the one state object, and telling views which part of it changed. May not live here: how it changes
// (state/ for facts from the server, actions.js for what the user does).

/**
 * Topics: `phase`, `me`, `connection`, `conversations`, `presence`, `room:<id>`, `members:<id>`, `typing:<id>`,
 * `outbox:<id>`, `pins:<id>`, `mentions`, `blocks`. A view names the topics it shows and is called once for any number of changes made in one go.
 */
export class Store {
  #watchers = new Set();
  #touched = new Set();

  state = emptyState();

  /** Notes that parts of the state changed; their watchers hear of it when the running code is done. */
  touch(...topics) {
    if (this.#touched.size === 0) queueMicrotask(() => this.#tell());
    for (const topic of topics) this.#touched.add(topic);
  }

  /** Calls `listener` after changes of any of `topics`, until the returned function is called. */
  watch(topics, listener) {
    const watcher = { topics: new Set(topics), listener };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Forgets everything of the user who signed out. */
  clear() {
    const { phase, connection } = this.state;
    this.state = { ...emptyState(), phase, connection };
    this.touch('me', 'conversations', 'presence', 'mentions', 'blocks');
  }

  #tell() {
    const touched = this.#touched;
    this.#touched = new Set();
    for (const watcher of [...this.#watchers]) {
      if (this.#watchers.has(watcher) && overlaps(watcher.topics, touched)) watcher.listener();
    }
  }
}

function overlaps(some, others) {
  for (const one of some) if (others.has(one)) return true;
  return false;
}

function emptyState() {
  return {
    /** `starting`, `signed-out` or `signed-in` */
    phase: 'starting',
    me: null,
    connection: { state: 'idle', reason: null, retryAt: null, level: false },
    /** Whether the list of conversations was ever loaded. */
    listed: false,
    /** id → Conversation, each with `seen`: the revision its counts include */
    conversations: new Map(),
    /** id → { items, hasBefore, hasAfter, status, older, newer, missed } (state/rooms.js) */
    rooms: new Map(),
    /** conversation id → { items: [Participant], status } */
    members: new Map(),
    /** conversation id → { items: [Message], status } of the pinned messages, where somebody looked at them */
    pins: new Map(),
    /** conversation id → Set of `seq` of messages that mention this user */
    mentions: new Map(),
    /** user id → Block, the people this user has blocked */
    blocks: new Map(),
    /** user id → UserBrief, everybody met so far */
    people: new Map(),
    /** user id → { status, last_seen_at } */
    presence: new Map(),
    /** conversation id → Map of user id → name */
    typing: new Map(),
    /** conversation id → unacknowledged messages, in the order of writing */
    outbox: new Map(),
  };
}
