// The scroll position in a list that grows at both ends.
// This file keeps the list at its end, or keeps the visible messages still while older ones are added above.

/** A position this close to the end counts as the end, in pixels. */
const END_DISTANCE_PX = 48;
/** Messages are loaded before the user reaches them: when fewer screens than this are left. */
const SCREENS_AHEAD = 2;

/** Keeps the scroll position of a list of messages. */
export class ScrollKeeper {
  #box;
  #list;
  #staysAtEnd = true;
  #follow = true;
  #observer;
  /** The position when it was last known whether the view stays at the end. */
  #knownTop = 0;

  /**
   * @param {HTMLElement} box the element that scrolls
   * @param {HTMLElement} list the element inside it that grows
   * @param {{onTop: () => void, onMove: (atEnd: boolean) => void}} listeners
   */
  constructor(box, list, { onTop, onMove }) {
    this.#box = box;
    this.#list = list;
    box.addEventListener(
      'scroll',
      () => {
        this.#noteScroll();
        if (this.nearTop) onTop();
        onMove(this.atEnd);
      },
      { passive: true },
    );
    // Fonts, images, a growing text box and the keyboard of a phone change sizes without a scroll event.
    this.#observer = new ResizeObserver(() => {
      if (this.#staysAtEnd) this.toEnd();
    });
    this.#observer.observe(box);
    this.#observer.observe(list);
  }

  get atEnd() {
    return this.#staysAtEnd || this.#isNearEnd();
  }

  /** False while the list does not reach to the newest message. Then the view does not follow new messages below. */
  set follow(follow) {
    if (follow === this.#follow) return;
    this.#follow = follow;
    this.#staysAtEnd = follow && this.#isNearEnd();
  }

  /** Whether the position is near the top, also because all messages fit. Then older messages may be needed. */
  get nearTop() {
    return this.#box.scrollTop < SCREENS_AHEAD * this.#box.clientHeight;
  }

  /** Whether the position is near the end. Then newer messages may be needed. */
  get nearEnd() {
    return this.#distance() < SCREENS_AHEAD * this.#box.clientHeight;
  }

  /** Changes the list without moving the visible messages. At the end the view stays there. */
  keepPosition(change) {
    this.#noteScroll();
    if (this.#staysAtEnd) {
      change();
      this.toEnd();
      return;
    }
    const anchor = this.#anchor();
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (anchor?.isConnected) this.#box.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#knownTop = this.#box.scrollTop;
  }

  /** Scrolls to the end, and stays there while the list grows. */
  toEnd({ smooth = false } = {}) {
    this.#staysAtEnd = true;
    const top = this.#box.scrollHeight;
    if (smooth && !matchMedia('(prefers-reduced-motion: reduce)').matches)
      this.#box.scrollTo({ top, behavior: 'smooth' });
    else this.#box.scrollTop = top;
    this.#knownTop = this.#box.scrollTop;
  }

  /** Scrolls to `element`, with some messages above it. */
  scrollTo(element) {
    this.#staysAtEnd = false;
    this.#box.scrollTop +=
      element.getBoundingClientRect().top - this.#box.getBoundingClientRect().top - this.#box.clientHeight / 3;
    this.#staysAtEnd = this.#mayStayAtEnd() && this.#isNearEnd();
    this.#knownTop = this.#box.scrollTop;
  }

  stop() {
    this.#observer.disconnect();
  }

  /**
   * Finds out whether the user scrolled away from the end or to it. A distance from the end alone does not say so: the
   * list may have grown, because of a new message or because rows got their real height. The user scrolled only if the
   * position moved up.
   */
  #noteScroll() {
    const { scrollTop } = this.#box;
    if (this.#isNearEnd()) this.#staysAtEnd = this.#mayStayAtEnd();
    else if (scrollTop < this.#knownTop - 1) this.#staysAtEnd = false;
    this.#knownTop = scrollTop;
  }

  #isNearEnd() {
    return this.#distance() <= END_DISTANCE_PX;
  }

  #distance() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }

  /**
   * Whether the view may stay at the end: always after `toEnd`, after scrolling only if the newest message is there.
   */
  #mayStayAtEnd() {
    return this.#staysAtEnd || this.#follow;
  }

  /**
   * Returns the message in the middle of the view, which is kept still. Messages at the top can change their height
   * when older ones are added, and the lines between days can move.
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
