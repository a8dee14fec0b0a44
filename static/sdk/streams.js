// The revision of each stream that this client has applied.
// This file contains the ordering rule as a pure data structure: a frame is applied when its `rev` is the next one,
// dropped when it is old, and held when a frame before it is missing. It must not contain requests, timers, or the
// meaning of events.

/** The name of the user's own stream. The name of a conversation's stream is the conversation's id. */
export const USER = 'user';

/** The most frames to hold for one stream. With more frames, loading the stream again is cheaper. */
const MAX_HELD = 512;

/**
 * Returns the name of the stream that a durable frame belongs to.
 * @returns {string|null} null for an ephemeral frame, or for a format of a newer server version
 */
export function streamOf(frame) {
  if (frame.stream === 'user') return USER;
  if (frame.stream !== 'conversation') return null;
  const payload = frame.payload ?? {};
  return payload.conversation_id ?? payload.message?.conversation_id ?? payload.class?.conversation_id ?? null;
}

/** The revisions and the held frames of all streams. */
export class Streams {
  #streams = new Map();

  /** Returns the revision up to which everything of `id` was applied; null if no snapshot was loaded. */
  rev(id) {
    return this.#streams.get(id)?.rev ?? null;
  }

  has(id) {
    return this.rev(id) !== null;
  }

  /** Returns the revisions by conversation id, in the format of `sync`. */
  revisions() {
    const revs = {};
    for (const [id, stream] of this.#streams) {
      if (id !== USER && stream.rev !== null) revs[id] = stream.rev;
    }
    return revs;
  }

  /** Whether frames are held, because one before them is missing, or whether a snapshot is being loaded. */
  isIncomplete(id) {
    const stream = this.#streams.get(id);
    return stream !== undefined && (stream.loading || stream.held.size > 0);
  }

  /** Returns the streams in which a frame is missing before held frames. */
  gaps() {
    return [...this.#streams]
      .filter(([, { rev, loading, held }]) => rev !== null && !loading && held.size > 0)
      .map(([id]) => id);
  }

  /** Holds every frame of `id` from now on, because a snapshot is being loaded. */
  beginLoad(id) {
    this.#getOrCreate(id).loading = true;
  }

  /** Continues from the old revision, because the snapshot could not be loaded. */
  abandonLoad(id) {
    const stream = this.#streams.get(id);
    if (stream) stream.loading = false;
  }

  /**
   * Sets the revision of a snapshot. The revision never moves back.
   * @returns {object[]} the held frames that follow without a gap, in order
   */
  setRev(id, rev) {
    const stream = this.#getOrCreate(id);
    stream.loading = false;
    stream.rev = Math.max(stream.rev ?? rev, rev);
    return this.#takeHeld(stream);
  }

  /** Ends `beginLoad`. The revision may move back: then the history of the server is another one. */
  finishLoad(id, rev) {
    const stream = this.#getOrCreate(id);
    if (stream.loading) stream.rev = rev;
    return this.setRev(id, rev);
  }

  /**
   * Drops all held frames, because the session ended. The next session sends everything after the applied revisions.
   */
  dropHeld() {
    for (const [id, stream] of this.#streams) {
      if (stream.rev === null) this.#streams.delete(id);
      stream.loading = false;
      stream.held.clear();
    }
  }

  remove(id) {
    this.#streams.delete(id);
  }

  clear() {
    this.#streams.clear();
  }

  /**
   * Takes a frame from the server.
   * @returns {{apply: object[], result: 'next'|'old'|'held'|'gap'|'unknown'}} `apply`: the frames to apply now, in
   *   order. `gap`: a frame before this one is missing and must be requested; `unknown`: no snapshot of this stream was
   *   loaded. In both cases the frame is held, because a session gets each revision only once.
   */
  receive(id, frame) {
    const known = this.#streams.has(id);
    const stream = this.#getOrCreate(id);
    if (stream.rev !== null && frame.rev <= stream.rev) return { apply: [], result: 'old' };
    if (!stream.loading && stream.rev !== null && frame.rev === stream.rev + 1) {
      stream.rev = frame.rev;
      return { apply: [frame, ...this.#takeHeld(stream)], result: 'next' };
    }
    const first = stream.held.size === 0;
    if (stream.held.size < MAX_HELD) stream.held.set(frame.rev, frame);
    if (stream.loading) return { apply: [], result: 'held' };
    if (!known || (stream.rev === null && first)) return { apply: [], result: 'unknown' };
    return { apply: [], result: first ? 'gap' : 'held' };
  }

  #getOrCreate(id) {
    const stream = this.#streams.get(id) ?? { rev: null, loading: false, held: new Map() };
    this.#streams.set(id, stream);
    return stream;
  }

  #takeHeld(stream) {
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
