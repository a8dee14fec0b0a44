// Which messages the user has seen.
// This file contains the set of seen messages and the read mark that follows from it: messages are read only without a
// gap from the mark on. It must not contain what is on the screen (views/), or sending marks (the SDK).

import { covers } from './message-window.js';

/** The messages of one conversation that were on the screen. */
export class SeenMessages {
  #seqs = new Set();

  add(seq) {
    this.#seqs.add(seq);
  }

  /**
   * Returns how far the user has read: up to the message before the first one after `mark` that was not seen.
   * @param {import('./message-window.js').MessageWindow} window
   * @param {number} mark the present read mark
   * @param {(message: object) => boolean} isOwn the user need not see own messages
   * @returns {number} `mark` itself if the next message is not loaded or was not seen
   */
  markAfter(window, mark, isOwn) {
    for (const seq of this.#seqs) if (seq <= mark) this.#seqs.delete(seq);
    if (this.#seqs.size === 0 || !covers(window, mark + 1)) return mark;
    let end = mark;
    for (const message of window.items) {
      if (message.seq <= mark) continue;
      if (!this.#seqs.has(message.seq) && !isOwn(message)) return end;
      end = message.seq;
    }
    // Messages that the user hid are in the range of the window, but not in its items.
    return Math.max(end, window.to);
  }
}
