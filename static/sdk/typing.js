// Typing indicators of this user.
// This file decides when `typing.start` and `typing.stop` are sent. It must not contain the indicators of other users.

/** The server ends an indicator after 10 s. It is repeated after this time to stay visible, in milliseconds. */
const REPEAT_MS = 4_000;
/** The server passes on one start in two seconds for each conversation, and ignores the others. In milliseconds. */
const MIN_INTERVAL_MS = 2_100;
/** The user stopped typing if there is no keystroke for this time, in milliseconds. */
const IDLE_MS = 6_000;

/** Sends the typing indicator of the signed-in user. */
export class Typing {
  #send;
  #time;
  #now;
  #active = null;
  #lastStart = { id: null, at: -Infinity };

  /** @param {{send: (type: string, payload: object) => void, time?: object, now?: () => number}} options */
  constructor({ send, time = globalThis, now = () => Date.now() }) {
    this.#send = send;
    this.#time = time;
    this.#now = now;
  }

  /** Notes a keystroke in the text box of a conversation. May be called for every keystroke. */
  keystroke(conversationId) {
    if (this.#active && this.#active.id !== conversationId) this.stop();
    this.#active ??= { id: conversationId, started: false, idleTimer: null, startTimer: null };
    const active = this.#active;
    this.#time.clearTimeout(active.idleTimer);
    active.idleTimer = this.#time.setTimeout(() => this.stop(), IDLE_MS);
    if (active.startTimer !== null) return;
    const pause = active.started ? REPEAT_MS : MIN_INTERVAL_MS;
    const elapsedMs = this.#lastStart.id === conversationId ? this.#now() - this.#lastStart.at : Infinity;
    if (elapsedMs >= pause) this.#start(active);
    else if (!active.started) active.startTimer = this.#time.setTimeout(() => this.#start(active), pause - elapsedMs);
  }

  /** Ends the indicator: the text box is empty or closed, or the user pauses. */
  stop() {
    const active = this.#end();
    if (active?.started) this.#send('typing.stop', { conversation_id: active.id });
  }

  /** Notes that the message was sent: the server ends the indicator by itself. */
  sent() {
    this.#end();
  }

  #start(active) {
    active.startTimer = null;
    active.started = true;
    this.#lastStart = { id: active.id, at: this.#now() };
    this.#send('typing.start', { conversation_id: active.id });
  }

  #end() {
    const active = this.#active;
    this.#active = null;
    if (!active) return null;
    this.#time.clearTimeout(active.idleTimer);
    this.#time.clearTimeout(active.startTimer);
    return active;
  }
}
