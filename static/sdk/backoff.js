// How long to wait before the next attempt.
// This file contains exponential backoff with full jitter. It must not contain timers: the caller starts them.

/** Counts failed attempts and computes the delay before the next one. */
export class Backoff {
  #attempts = 0;
  #base;
  #cap;
  #random;

  /**
   * @param {{base?: number, cap?: number, random?: () => number}} [options] `base`: the first upper bound of the delay,
   *   `cap`: the greatest one, both in milliseconds; `random`: a number from 0 to 1
   */
  constructor({ base = 500, cap = 20_000, random = Math.random } = {}) {
    this.#base = base;
    this.#cap = cap;
    this.#random = random;
  }

  /** The number of failed attempts since the last reset. */
  get attempts() {
    return this.#attempts;
  }

  /**
   * Returns the delay before the next attempt, in milliseconds: a random time between zero and an upper bound that
   * doubles with each attempt. A thousand clients that lost the same server do not reconnect at the same moment.
   */
  next() {
    const ceiling = Math.min(this.#cap, this.#base * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return Math.round(this.#random() * ceiling);
  }

  /** Starts again with the first upper bound, after a success. */
  reset() {
    this.#attempts = 0;
  }
}
