// Telling others that this user types.
// Lives here: how often `typing.start` is said and when `typing.stop` follows. May not live here: who else types.

/** The server lets an indicator go after 10 s; saying it again sooner keeps it standing. In milliseconds. */
const REPEAT = 4_000;
/** The server passes on one start in two seconds of a conversation and swallows the others. In milliseconds. */
const LEAST = 2_100;
/** Without a keystroke for this long the user stopped, in milliseconds. */
const IDLE = 6_000;

export class Typing {
  #tell;
  #time;
  #now;
  #active = null;
  #last = { id: null, at: -Infinity };

  /** @param {{tell: (type: string, payload: object) => void, time?: object, now?: () => number}} options */
  constructor({ tell, time = globalThis, now = () => Date.now() }) {
    this.#tell = tell;
    this.#time = time;
    this.#now = now;
  }

  /** A keystroke in the composer of a conversation. */
  keystroke(conversationId) {
    if (this.#active && this.#active.id !== conversationId) this.stop();
    this.#active ??= { id: conversationId, told: false, idle: null, start: null };
    const active = this.#active;
    this.#time.clearTimeout(active.idle);
    active.idle = this.#time.setTimeout(() => this.stop(), IDLE);
    if (active.start !== null) return;
    const pause = active.told ? REPEAT : LEAST;
    const since = this.#last.id === conversationId ? this.#now() - this.#last.at : Infinity;
    if (since >= pause) this.#start(active);
    else if (!active.told) active.start = this.#time.setTimeout(() => this.#start(active), pause - since);
  }

  /** The composer is empty, left, or idle. */
  stop() {
    const active = this.#end();
    if (active?.told) this.#tell('typing.stop', { conversation_id: active.id });
  }

  /** The message went out: the server ends the indicator by itself. */
  sent() {
    this.#end();
  }

  #start(active) {
    active.start = null;
    active.told = true;
    this.#last = { id: active.id, at: this.#now() };
    this.#tell('typing.start', { conversation_id: active.id });
  }

  #end() {
    const active = this.#active;
    this.#active = null;
    if (!active) return null;
    this.#time.clearTimeout(active.idle);
    this.#time.clearTimeout(active.start);
    return active;
  }
}
