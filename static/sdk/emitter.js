// Events inside the SDK.
// Lives here: a listener list. May not live here: anything about chat, or the DOM's EventTarget (the SDK runs without one).

export class Emitter {
  #listeners = new Map();

  /** Calls `listener` for every `name` until the returned function is called. */
  on(name, listener) {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  /** One listener that throws must not keep the others from hearing: its error is reported on its own. */
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
