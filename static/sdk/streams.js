// Which revision of each stream this client has seen.
// Lives here: the pure ordering rule — a frame is applied when its `rev` is the next one, dropped when it is old, held
// when one before it is missing. May not live here: requests, timers, or what an event means.

/** Name of the user's own stream; conversation streams are named by their id. */
export const USER = 'user';

/** Frames held for one stream before it is cheaper to load the stream anew. */
const HELD_LIMIT = 512;

/**
 * The stream a durable frame belongs to.
 * @returns {string|null} null for a frame without one (an ephemeral frame, or a shape from a later server)
 */
export function streamOf(frame) {
  if (frame.stream === 'user') return USER;
  if (frame.stream !== 'conversation') return null;
  const payload = frame.payload ?? {};
  return payload.conversation_id ?? payload.message?.conversation_id ?? payload.class?.conversation_id ?? null;
}

export class Streams {
  #streams = new Map();

  /** Revision up to which everything of `id` was applied; null while unknown. */
  rev(id) {
    return this.#streams.get(id)?.rev ?? null;
  }

  has(id) {
    return this.rev(id) !== null;
  }

  /** Conversations and their revisions, as `sync` wants them. */
  revisions() {
    const found = {};
    for (const [id, stream] of this.#streams) {
      if (id !== USER && stream.rev !== null) found[id] = stream.rev;
    }
    return found;
  }

  /** Whether frames wait for one that is missing, or for a reload. */
  waiting(id) {
    const stream = this.#streams.get(id);
    return stream !== undefined && (stream.loading || stream.held.size > 0);
  }

  /** Streams in which a frame is missing before others that are here. */
  gaps() {
    return [...this.#streams]
      .filter(([, { rev, loading, held }]) => rev !== null && !loading && held.size > 0)
      .map(([id]) => id);
  }

  /** From now on hold every frame of `id`: a snapshot is being fetched that will say where to go on. */
  begin(id) {
    this.#ensure(id).loading = true;
  }

  /** The snapshot could not be had; go on from the old revision. */
  abandon(id) {
    const stream = this.#streams.get(id);
    if (stream) stream.loading = false;
  }

  /**
   * A snapshot at `rev` was taken. Never moves back.
   * @returns {object[]} held frames that follow it without a gap, in order
   */
  set(id, rev) {
    const stream = this.#ensure(id);
    stream.loading = false;
    stream.rev = Math.max(stream.rev ?? rev, rev);
    return this.#run(stream);
  }

  /** Ends what `begin` began: the snapshot rules, also when it is older, for then the server's history is another one. */
  finish(id, rev) {
    const stream = this.#ensure(id);
    if (stream.loading) stream.rev = rev;
    return this.set(id, rev);
  }

  /** The session ended: the next one brings everything after the applied revisions again, so nothing needs holding. */
  settle() {
    for (const [id, stream] of this.#streams) {
      if (stream.rev === null) this.#streams.delete(id);
      stream.loading = false;
      stream.held.clear();
    }
  }

  forget(id) {
    this.#streams.delete(id);
  }

  clear() {
    this.#streams.clear();
  }

  /**
   * @returns {{apply: object[], verdict: 'next'|'old'|'held'|'gap'|'unknown'}} the frames to apply now, in order.
   *   `gap`: a frame before this one is missing, ask for it; `unknown`: no snapshot of this stream was ever taken.
   *   In both cases the frame is held, because a session gets each revision once.
   */
  offer(id, frame) {
    const known = this.#streams.has(id);
    const stream = this.#ensure(id);
    if (stream.rev !== null && frame.rev <= stream.rev) return { apply: [], verdict: 'old' };
    if (!stream.loading && stream.rev !== null && frame.rev === stream.rev + 1) {
      stream.rev = frame.rev;
      return { apply: [frame, ...this.#run(stream)], verdict: 'next' };
    }
    const first = stream.held.size === 0;
    if (stream.held.size < HELD_LIMIT) stream.held.set(frame.rev, frame);
    if (stream.loading) return { apply: [], verdict: 'held' };
    if (!known || (stream.rev === null && first)) return { apply: [], verdict: 'unknown' };
    return { apply: [], verdict: first ? 'gap' : 'held' };
  }

  #ensure(id) {
    const stream = this.#streams.get(id) ?? { rev: null, loading: false, held: new Map() };
    this.#streams.set(id, stream);
    return stream;
  }

  #run(stream) {
    const frames = [];
    for (const rev of stream.held.keys()) {
      if (rev <= stream.rev) stream.held.delete(rev);
    }
    for (let frame = stream.held.get(stream.rev + 1); frame; frame = stream.held.get(stream.rev + 1)) {
      stream.held.delete(frame.rev);
      stream.rev = frame.rev;
      frames.push(frame);
    }
    return frames;
  }
}
