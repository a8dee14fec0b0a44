// Work that is done once a frame.
// This file collects tasks and runs them together before the next frame is painted. It must not contain what a task
// does.

/** A hidden page has no frames. Then the tasks run after this time, in milliseconds. */
const HIDDEN_DELAY_MS = 250;
/** If tasks still request each other after this many rounds, they never stop. */
const MAX_ROUNDS = 100;

/** @typedef {{order: number, run: () => void}} Task tasks with a smaller `order` run first */

/** Runs each requested task once a frame, however often it is requested. */
export class Scheduler {
  /** @type {Set<Task>} */
  #tasks = new Set();
  #frame = null;
  #timer = null;
  #browser;

  /** @param {{requestAnimationFrame?: Function, cancelAnimationFrame?: Function, setTimeout: Function,
   *   clearTimeout: Function}} browser without frames, as in Node, only the timer runs the tasks */
  constructor(browser = globalThis) {
    this.#browser = browser;
  }

  /** Runs `task` before the next frame. @param {Task} task */
  request(task) {
    this.#tasks.add(task);
    if (this.#timer !== null) return;
    // A page can become hidden after it requested a frame, so that the timer is needed for visible pages too.
    this.#frame = this.#browser.requestAnimationFrame?.(() => this.flush()) ?? null;
    this.#timer = this.#browser.setTimeout(() => this.flush(), HIDDEN_DELAY_MS);
  }

  /** Ends a request. @param {Task} task */
  cancel(task) {
    this.#tasks.delete(task);
  }

  /** Runs all requested tasks now, and those that they request. If one throws, the others still run. */
  flush() {
    if (this.#frame !== null) this.#browser.cancelAnimationFrame(this.#frame);
    if (this.#timer !== null) this.#browser.clearTimeout(this.#timer);
    [this.#frame, this.#timer] = [null, null];
    for (let round = 0; this.#tasks.size > 0; round += 1) {
      if (round === MAX_ROUNDS) {
        this.#tasks.clear();
        throw new Error('Tasks request each other without end.');
      }
      for (const task of [...this.#tasks].sort((a, b) => a.order - b.order)) if (this.#tasks.delete(task)) call(task);
    }
  }
}

/** The one scheduler of the page. */
export const scheduler = new Scheduler();

function call(task) {
  try {
    task.run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
