// Events inside the SDK.
// This file contains a list of listeners. It must not contain chat logic, or use the DOM's EventTarget: the SDK also
// runs without a DOM.

/** An object that emits named events. */
export class Emitter {
  #listeners = new Map();

  /** Calls `listener` for every event `name`. @returns {() => void} a function that removes the listener */
  on(name, listener) {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  /** Calls all listeners. If one throws, the others are still called, and its error is reported as uncaught. */
  emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
