// Read marks and delivered marks that this client sends.
// This file contains the collection of marks, so that a burst of messages causes one acknowledgement. It must not
// decide what counts as read; the screen decides that.

/** How long marks are collected before they are sent, in milliseconds. */
const COLLECT_MS = 250;
/**
 * The most marks to send at a time. After a long absence there can be one for each conversation. All of them together
 * would be more commands than the server accepts from one user.
 */
const MARKS_AT_ONCE = 8;

/** Sends the marks of the signed-in user. Marks never move back. */
export class Receipts {
  #request;
  #time;
  #unsent = { read: new Map(), delivered: new Map() };
  #sent = { read: new Map(), delivered: new Map() };
  #timer = null;
  #running = false;

  /** @param {{request: (type: string, payload: object) => Promise<object>, time?: object}} options */
  constructor({ request, time = globalThis }) {
    this.#request = request;
    this.#time = time;
  }

  /** Notes that the user has read everything in the conversation up to `seq`. */
  read(conversationId, seq) {
    this.#add('read', conversationId, seq);
  }

  /** Notes that this device has received everything in the conversation up to `seq`. */
  delivered(conversationId, seq) {
    this.#add('delivered', conversationId, seq);
  }

  /** Starts sending: the connection is up to date with the server. */
  start() {
    this.#running = true;
    this.#schedule();
  }

  /** Stops sending. Marks that were not sent stay here. */
  stop() {
    this.#running = false;
    this.#time.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Forgets all marks. */
  clear() {
    this.stop();
    for (const marks of [...Object.values(this.#unsent), ...Object.values(this.#sent)]) marks.clear();
  }

  #add(kind, id, seq) {
    if ((this.#sent[kind].get(id) ?? 0) >= seq) return;
    this.#unsent[kind].set(id, Math.max(seq, this.#unsent[kind].get(id) ?? 0));
    this.#schedule();
  }

  #schedule() {
    if (!this.#running || this.#timer !== null) return;
    if (this.#unsent.read.size + this.#unsent.delivered.size === 0) return;
    this.#timer = this.#time.setTimeout(() => {
      this.#timer = null;
      this.#flush('delivered', MARKS_AT_ONCE - this.#flush('read', MARKS_AT_ONCE));
      this.#schedule();
    }, COLLECT_MS);
  }

  /** Sends at most `limit` marks, the oldest first. @returns {number} the number of marks sent */
  #flush(kind, limit) {
    let count = 0;
    for (const [id, seq] of this.#unsent[kind]) {
      const isCovered = kind === 'delivered' && (this.#sent.read.get(id) ?? 0) >= seq;
      if (!isCovered && count === limit) break;
      this.#unsent[kind].delete(id);
      if (isCovered) continue;
      count += 1;
      this.#sent[kind].set(id, seq);
      this.#request(`message.${kind}`, { conversation_id: id, seq }).catch((error) =>
        this.#handleError(kind, id, seq, error),
      );
    }
    return count;
  }

  /** Keeps a mark for another attempt if its request was lost. A refusal, as of a former member, is final. */
  #handleError(kind, id, seq, error) {
    if (this.#sent[kind].get(id) === seq) this.#sent[kind].delete(id);
    if (!error.transient) return;
    const unsent = this.#unsent[kind];
    unsent.set(id, Math.max(seq, unsent.get(id) ?? 0));
    this.#time.setTimeout(() => this.#schedule(), error.retryAfterMs ?? 0);
  }
}
