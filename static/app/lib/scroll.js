// Keeping one's place in a list that grows at both ends.
// Lives here: staying at the end, and holding what one reads still while older items come in above.
// May not live here: loading those items.

/** This close to the end counts as the end, in pixels. */
const NEAR = 48;
/** This close to the top asks for older items, in pixels. */
const TOP = 400;

export class ScrollKeeper {
  #box;
  #list;
  #pinned = true;
  #follow = true;
  #observer;
  #observed = '';

  /**
   * @param {HTMLElement} box what scrolls
   * @param {HTMLElement} list what grows inside it
   * @param {{onTop: () => void, onMove: (atEnd: boolean) => void}} listeners
   */
  constructor(box, list, { onTop, onMove }) {
    this.#box = box;
    this.#list = list;
    box.addEventListener(
      'scroll',
      () => {
        // While a new size waits to be observed, a distance from the end is nobody's scrolling.
        if (!this.#pinned || this.#size() === this.#observed) this.#pinned = this.#mayPin() && this.#near();
        if (box.scrollTop < TOP) onTop();
        onMove(this.atEnd);
      },
      { passive: true },
    );
    // Fonts, images, a growing composer or a phone's keyboard change sizes without a scroll event.
    this.#observer = new ResizeObserver(() => {
      this.#observed = this.#size();
      if (this.#pinned) this.toEnd();
    });
    this.#observer.observe(box);
    this.#observer.observe(list);
  }

  get atEnd() {
    return this.#pinned || this.#near();
  }

  /** False while what is in the list ends before the newest: then more below does not take the reader along. */
  set follow(follow) {
    if (follow === this.#follow) return;
    this.#follow = follow;
    this.#pinned = follow && this.#near();
  }

  /** Whether everything fits, or the top is near: older items may be wanted without any scrolling. */
  get nearTop() {
    return this.#box.scrollTop < TOP;
  }

  /** Changes the list without moving what is being read. At the end, the new size is observed once for many changes. */
  keep(change) {
    if (this.#pinned) {
      change();
      return;
    }
    const anchor = this.#anchor();
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (anchor?.isConnected) this.#box.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  toEnd({ smooth = false } = {}) {
    this.#pinned = true;
    const top = this.#box.scrollHeight;
    if (smooth && !matchMedia('(prefers-reduced-motion: reduce)').matches)
      this.#box.scrollTo({ top, behavior: 'smooth' });
    else this.#box.scrollTop = top;
  }

  /** Shows `element` with some context above it. */
  show(element) {
    this.#pinned = false;
    this.#box.scrollTop +=
      element.getBoundingClientRect().top - this.#box.getBoundingClientRect().top - this.#box.clientHeight / 3;
    this.#pinned = this.#mayPin() && this.#near();
  }

  stop() {
    this.#observer.disconnect();
  }

  #size() {
    return `${this.#box.clientHeight} ${this.#list.offsetHeight}`;
  }

  #near() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop <= NEAR;
  }

  /** Who asked for the end stays there; who came there by scrolling only if it is the end of everything. */
  #mayPin() {
    return this.#pinned || this.#follow;
  }

  /**
   * What is held still: the message in the middle of the view. Those at its top may change their own height when older
   * ones join them, and lines between messages go where their day begins.
   */
  #anchor() {
    const { top, height } = this.#box.getBoundingClientRect();
    let last = null;
    for (const child of this.#list.children) {
      if (!child.dataset.seq) continue;
      last = child;
      if (child.getBoundingClientRect().bottom > top + height / 2) break;
    }
    return last;
  }
}
