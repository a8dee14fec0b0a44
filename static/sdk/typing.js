// Telling others that this user types.
// Lives here: how often `typing.start` is repeated and when `typing.stop` follows. May not live here: who else types.

/** The server lets an indicator go after 10 s; saying it again sooner keeps it standing. In milliseconds. */
const REPEAT = 4_000;
/** Without a keystroke for this long the user stopped, in milliseconds. */
const IDLE = 6_000;

export class Typing {
  #tell;
  #time;
  #now;
  #active = null;

  /** @param {{tell: (type: string, payload: object) => void, time?: object, now?: () => number}} options */
  constructor({ tell, time = globalThis, now = () => Date.now() }) {
    this.#tell = tell;
    this.#time = time;
    this.#now = now;
  }

  /** A keystroke in the composer of a conversation. */
  keystroke(conversationId) {
    if (this.#active && this.#active.id !== conversationId) this.stop();
    const active = this.#active ?? { id: conversationId, toldAt: -Infinity, timer: null };
    this.#active = active;
    this.#time.clearTimeout(active.timer);
    active.timer = this.#time.setTimeout(() => this.stop(), IDLE);
    if (this.#now() - active.toldAt < REPEAT) return;
    active.toldAt = this.#now();
    this.#tell('typing.start', { conversation_id: conversationId });
  }

  /** The composer is empty, left, or idle. */
  stop() {
    const active = this.#end();
    if (active) this.#tell('typing.stop', { conversation_id: active.id });
  }

  /** The message went out: the server ends the indicator by itself. */
  sent() {
    this.#end();
  }

  #end() {
    const active = this.#active;
    this.#active = null;
    if (active) this.#time.clearTimeout(active.timer);
    return active;
  }
}
