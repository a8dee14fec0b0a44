// Values that know who depends on them.
// This file contains signals, computed values, effects, and scopes that end them together. Reading `.value` inside a
// computed value or an effect makes it depend on what was read; only what depends on a changed value runs again. It
// must not contain DOM elements, or when effects run (scheduler.js).
//
// A change notifies at once, but computes nothing: a computed value is computed when it is read, at most once for any
// number of changes, and effects run once a frame. So no code ever sees a mixture of old and new values, and several
// changes in a row need no brackets around them.

import { scheduler } from './scheduler.js';

/** The computed value or the effect whose function runs now. */
let reader = null;
/** The cleanups of the scope or the effect whose function runs now; null outside. @type {Set<() => void>|null} */
let cleanups = null;
/** Increases with each change of any signal. */
let changeCount = 0;
let effectCount = 0;

/** Something that can be read: it has a version, and tells those who depend on it that it may have changed. */
class Source {
  version = 0;
  readers = new Set();

  /** Makes `version` current. */
  refresh() {}

  attach(dependent) {
    this.readers.add(dependent);
  }

  detach(dependent) {
    this.readers.delete(dependent);
  }

  notify() {
    for (const dependent of this.readers) dependent.invalidate();
  }
}

class Signal extends Source {
  #value;
  #equals;
  #onUnused;

  constructor(value, { equals = Object.is, onUnused = null } = {}) {
    super();
    this.#value = value;
    this.#equals = equals;
    this.#onUnused = onUnused;
  }

  get value() {
    reader?.note(this);
    return this.#value;
  }

  set value(value) {
    if (reader instanceof Computed) throw new Error('A computed value must not change a signal.');
    if (this.#equals(this.#value, value)) return;
    this.#value = value;
    this.version += 1;
    changeCount += 1;
    this.notify();
  }

  /** Returns the value without depending on it. */
  peek() {
    return this.#value;
  }

  detach(dependent) {
    super.detach(dependent);
    if (this.readers.size === 0) this.#onUnused?.();
  }
}

/** What a computed value or an effect read when it ran last, with the versions at that time. */
class Dependencies {
  #versions = new Map();

  note(source) {
    if (!this.#versions.has(source)) this.#versions.set(source, source.version);
  }

  /** Whether anything changed. What was read first decides whether the rest is still read, so it is checked first. */
  areChanged() {
    for (const [source, version] of this.#versions) {
      source.refresh();
      if (source.version !== version) return true;
    }
    return false;
  }

  attach(dependent) {
    for (const source of this.#versions.keys()) source.attach(dependent);
  }

  /** Ends what does not depend on these sources any more. @param {Dependencies} [next] */
  detach(dependent, next = null) {
    for (const source of this.#versions.keys()) if (!next?.#versions.has(source)) source.detach(dependent);
  }
}

class Computed extends Source {
  #compute;
  #equals;
  #value;
  #dependencies = null;
  #next = null;
  #isStale = true;
  #checkedAt = -1;

  constructor(compute, { equals = Object.is } = {}) {
    super();
    this.#compute = compute;
    this.#equals = equals;
  }

  get value() {
    this.refresh();
    reader?.note(this);
    return this.#value;
  }

  peek() {
    this.refresh();
    return this.#value;
  }

  note(source) {
    this.#next.note(source);
  }

  invalidate() {
    if (this.#isStale) return;
    this.#isStale = true;
    this.notify();
  }

  refresh() {
    // Without readers it is not notified of changes, but compares the count of all changes.
    if (this.readers.size > 0 ? !this.#isStale : this.#checkedAt === changeCount) return;
    this.#checkedAt = changeCount;
    this.#isStale = false;
    if (this.#dependencies?.areChanged() === false) return;
    const before = this.#dependencies;
    const next = (this.#next = new Dependencies());
    let value;
    try {
      value = runWith(this, null, this.#compute);
    } catch (error) {
      this.#isStale = true;
      this.#checkedAt = -1;
      throw error;
    }
    this.#dependencies = next;
    if (this.readers.size > 0) {
      next.attach(this);
      before?.detach(this, next);
    }
    if (before !== null && this.#equals(this.#value, value)) return;
    this.#value = value;
    this.version += 1;
  }

  attach(dependent) {
    if (this.readers.size === 0) {
      // Without readers it was not notified of changes after it was computed.
      this.#isStale ||= this.#checkedAt !== changeCount;
      this.#dependencies?.attach(this);
    }
    super.attach(dependent);
  }

  detach(dependent) {
    super.detach(dependent);
    if (this.readers.size > 0) return;
    this.#dependencies?.detach(this);
    this.#checkedAt = -1;
  }
}

class Effect {
  order = (effectCount += 1);
  #run;
  #dependencies = null;
  #next = null;
  #cleanups = new Set();
  #isStopped = false;

  constructor(run) {
    this.#run = run;
  }

  note(source) {
    this.#next.note(source);
  }

  invalidate() {
    if (!this.#isStopped) scheduler.request(this);
  }

  run() {
    if (this.#isStopped || this.#dependencies?.areChanged() === false) return;
    end(this.#cleanups);
    const before = this.#dependencies;
    const next = (this.#next = new Dependencies());
    const countBefore = changeCount;
    try {
      runWith(this, this.#cleanups, this.#run);
    } finally {
      this.#dependencies = next;
      if (!this.#isStopped) next.attach(this);
      before?.detach(this, this.#isStopped ? null : next);
    }
    // It may have changed what it read before it was attached.
    if (changeCount !== countBefore && next.areChanged()) this.invalidate();
  }

  stop() {
    this.#isStopped = true;
    scheduler.cancel(this);
    end(this.#cleanups);
    this.#dependencies?.detach(this);
  }
}

/**
 * Creates a value that can change. Assigning an equal value changes nothing.
 * @template T
 * @param {T} value
 * @param {{equals?: (a: T, b: T) => boolean, onUnused?: () => void}} [options] `equals`: instead of `Object.is`;
 *   `onUnused` is called when nothing depends on it any more
 * @returns {{value: T, peek: () => T}} `peek` reads without depending on it
 * @example
 * const count = signal(1);
 * count.value += 1;
 */
export function signal(value, options) {
  return new Signal(value, options);
}

/**
 * Creates a value that follows from others. It is computed when it is read, and again only after a change of what it
 * read. Those who depend on it are not called if the new value is equal to the old one.
 * @template T
 * @param {() => T} compute reads other values; must not change anything
 * @param {{equals?: (a: T, b: T) => boolean}} [options] for a new array each time: `sameItems`
 * @returns {{readonly value: T, peek: () => T}}
 */
export function computed(compute, options) {
  return new Computed(compute, options);
}

/**
 * Runs `run` now, and once a frame after changes of what it read the last time. It belongs to the scope or the effect
 * in which it is created, and ends with it; effects created inside `run` end before `run` runs again. Only what is read
 * before the first `await` counts.
 * @param {() => void} run
 * @returns {() => void} a function that ends it
 */
export function effect(run) {
  const created = new Effect(run);
  const stop = () => created.stop();
  cleanups?.add(stop);
  created.run();
  return stop;
}

/**
 * Runs `build`, and collects all effects, scopes and cleanups in it. A view is a scope: it ends with one call.
 * @param {() => void} build what it reads is not depended on
 * @returns {() => void} a function that ends the scope. A scope inside another one also ends with that
 * @example
 * const stop = scope(() => {
 *   effect(() => setText(title, conversation.value.name));
 *   onCleanup(() => element.remove());
 * });
 */
export function scope(build) {
  const own = new Set();
  const stop = () => end(own);
  cleanups?.add(stop);
  runWith(null, own, build);
  return stop;
}

/** Calls `cleanup` when the scope ends in which this is called, or before the effect runs again. */
export function onCleanup(cleanup) {
  cleanups?.add(cleanup);
}

/** Runs `read` without depending on what it reads. @template T @param {() => T} read @returns {T} */
export function untracked(read) {
  return runWith(null, cleanups, read);
}

/** Whether the code that runs now depends on what it reads. */
export function isTracking() {
  return reader !== null;
}

/** Whether two arrays have the same items in the same order. */
export function sameItems(a, b) {
  return a.length === b.length && a.every((item, index) => Object.is(item, b[index]));
}

function runWith(newReader, newCleanups, task) {
  const before = [reader, cleanups];
  [reader, cleanups] = [newReader, newCleanups];
  try {
    return task();
  } finally {
    [reader, cleanups] = before;
  }
}

/** Calls and forgets cleanups, the latest first. */
function end(own) {
  const all = [...own].reverse();
  own.clear();
  untracked(() => all.forEach((cleanup) => cleanup()));
}
