// Collections whose entries change independently.
// This file contains a map with one signal for each entry, and an object with one signal for each field. It must not
// contain what the entries are (store.js).

import { isTracking, signal } from './signals.js';

/**
 * A map from ids to entries. Who reads one entry depends on that entry alone, also while it is missing. Who reads
 * `keys`, `size` or `has` depends on which entries there are, and who reads `values` on everything.
 *
 * Entries are never changed in place: `set` and `update` replace them.
 * @template T
 */
export class EntityMap {
  /** id → signal of the entry; undefined in it if somebody depends on a missing entry */
  #signals = new Map();
  /** the ids of the entries that exist, in the order of insertion */
  #ids = new Set();
  #idsChanged = signal(0);

  /** @returns {T|undefined} */
  get(id) {
    return (this.#signals.get(id) ?? (isTracking() ? this.#missing(id) : undefined))?.value;
  }

  /** Returns an entry without depending on it. @returns {T|undefined} */
  peek(id) {
    return this.#signals.get(id)?.peek();
  }

  /** @param {T} entry */
  set(id, entry) {
    const known = this.#signals.get(id) ?? this.#missing(id);
    known.value = entry;
    if (this.#ids.has(id)) return this;
    this.#ids.add(id);
    this.#idsChanged.value += 1;
    return this;
  }

  /** Replaces an entry by a copy with some other fields. Does nothing if there is no entry. @param {Partial<T>} changes */
  update(id, changes) {
    const entry = this.peek(id);
    if (entry !== undefined) this.#signals.get(id).value = { ...entry, ...changes };
  }

  /** @returns {boolean} whether there was an entry */
  delete(id) {
    if (!this.#ids.delete(id)) return false;
    const known = this.#signals.get(id);
    if (known.readers.size === 0) this.#signals.delete(id);
    known.value = undefined;
    this.#idsChanged.value += 1;
    return true;
  }

  clear() {
    for (const id of [...this.#ids]) this.delete(id);
  }

  has(id) {
    return this.get(id) !== undefined;
  }

  get size() {
    void this.#idsChanged.value;
    return this.#ids.size;
  }

  *keys() {
    void this.#idsChanged.value;
    yield* [...this.#ids];
  }

  *values() {
    for (const id of this.keys()) yield this.get(id);
  }

  *[Symbol.iterator]() {
    for (const id of this.keys()) yield [id, this.get(id)];
  }

  #missing(id) {
    const onUnused = () => {
      if (this.#ids.has(id)) return;
      this.#signals.delete(id);
      // A computed value without readers may still refer to it, and must look the entry up again.
      created.version += 1;
    };
    const created = signal(undefined, { onUnused });
    this.#signals.set(id, created);
    return created;
  }
}

/**
 * Creates an object whose fields are signals: reading a field depends on it, assigning changes it.
 * @template T
 * @param {T} values
 * @returns {T}
 */
export function fields(values) {
  const object = {};
  for (const [name, value] of Object.entries(values)) {
    const field = signal(value);
    Object.defineProperty(object, name, {
      enumerable: true,
      get: () => field.value,
      set: (next) => (field.value = next),
    });
  }
  return object;
}
