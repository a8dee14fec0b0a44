// How long to wait before trying again.
// Lives here: exponential backoff with full jitter. May not live here: timers; who waits owns the timer.

export class Backoff {
  #attempts = 0;
  #base;
  #cap;
  #random;

  /**
   * @param {{base?: number, cap?: number, random?: () => number}} [options] milliseconds: the first ceiling, and the largest one
   */
  constructor({ base = 500, cap = 20_000, random = Math.random } = {}) {
    this.#base = base;
    this.#cap = cap;
    this.#random = random;
  }

  /** Failed attempts since the last reset. */
  get attempts() {
    return this.#attempts;
  }

  /**
   * Milliseconds to wait now: anywhere between nothing and a ceiling that doubles with each attempt. Full jitter keeps
   * a thousand clients that lost the same server from coming back in step.
   */
  next() {
    const ceiling = Math.min(this.#cap, this.#base * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return Math.round(this.#random() * ceiling);
  }

  reset() {
    this.#attempts = 0;
  }
}
