// Telling the server what arrived and what was read.
// Lives here: gathering marks, so that a burst of messages is one acknowledgement. May not live here: deciding what
// counts as read; the screen knows that.

/** How long marks gather before they are sent, in milliseconds. */
const GATHER = 250;
/**
 * Marks that are sent at a time. After a night there is one to send in every conversation; all at once they would be
 * more commands than the server takes of one user.
 */
const AT_ONCE = 8;

export class Receipts {
  #request;
  #time;
  #wanted = { read: new Map(), delivered: new Map() };
  #sent = { read: new Map(), delivered: new Map() };
  #timer = null;
  #open = false;

  /** @param {{request: (type: string, payload: object) => Promise<object>, time?: object}} options */
  constructor({ request, time = globalThis }) {
    this.#request = request;
    this.#time = time;
  }

  /** The user has seen everything of the conversation up to `seq`. */
  read(conversationId, seq) {
    this.#want('read', conversationId, seq);
  }

  /** This device has everything of the conversation up to `seq`. */
  delivered(conversationId, seq) {
    this.#want('delivered', conversationId, seq);
  }

  /** The connection is level with the server: what waited goes out. */
  start() {
    this.#open = true;
    this.#schedule();
  }

  stop() {
    this.#open = false;
    this.#time.clearTimeout(this.#timer);
    this.#timer = null;
  }

  clear() {
    this.stop();
    for (const marks of [...Object.values(this.#wanted), ...Object.values(this.#sent)]) marks.clear();
  }

  #want(kind, id, seq) {
    if ((this.#sent[kind].get(id) ?? 0) >= seq) return;
    this.#wanted[kind].set(id, Math.max(seq, this.#wanted[kind].get(id) ?? 0));
    this.#schedule();
  }

  #schedule() {
    if (!this.#open || this.#timer !== null) return;
    if (this.#wanted.read.size + this.#wanted.delivered.size === 0) return;
    this.#timer = this.#time.setTimeout(() => {
      this.#timer = null;
      this.#flush('delivered', AT_ONCE - this.#flush('read', AT_ONCE));
      this.#schedule();
    }, GATHER);
  }

  /** Sends at most so many marks, those that have waited longest. @returns how many */
  #flush(kind, most) {
    let count = 0;
    for (const [id, seq] of this.#wanted[kind]) {
      const needless = kind === 'delivered' && (this.#sent.read.get(id) ?? 0) >= seq;
      if (!needless && count === most) break;
      this.#wanted[kind].delete(id);
      if (needless) continue;
      count += 1;
      this.#sent[kind].set(id, seq);
      this.#request(`message.${kind}`, { conversation_id: id, seq }).catch((error) =>
        this.#failed(kind, id, seq, error),
      );
    }
    return count;
  }

  /** A mark that was lost on the way is wanted again; one that was refused (no longer a member) is not. */
  #failed(kind, id, seq, error) {
    if (this.#sent[kind].get(id) === seq) this.#sent[kind].delete(id);
    if (!error.transient) return;
    const wanted = this.#wanted[kind];
    wanted.set(id, Math.max(seq, wanted.get(id) ?? 0));
    this.#time.setTimeout(() => this.#schedule(), error.retryAfterMs ?? 0);
  }
}
