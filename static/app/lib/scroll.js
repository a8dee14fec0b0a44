// The scroll position in a list that grows at both ends.
// This file keeps the list at its end, or keeps the visible messages still while older ones are added above.

/** A position this close to the end counts as the end, in pixels. */
const END_DISTANCE_PX = 48;
/** A position this close to the top causes older messages to be loaded, in pixels. */
const TOP_DISTANCE_PX = 400;

/** Keeps the scroll position of a list of messages. */
export class ScrollKeeper {
  #box;
  #list;
  #staysAtEnd = true;
  #follow = true;
  #observer;
  #observedSize = '';

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
        // While a new size is not observed yet, a distance from the end does not mean that the user scrolled.
        if (!this.#staysAtEnd || this.#size() === this.#observedSize)
          this.#staysAtEnd = this.#mayStayAtEnd() && this.#isNearEnd();
        if (box.scrollTop < TOP_DISTANCE_PX) onTop();
        onMove(this.atEnd);
      },
      { passive: true },
    );
    // Fonts, images, a growing text box and the keyboard of a phone change sizes without a scroll event.
    this.#observer = new ResizeObserver(() => {
      this.#observedSize = this.#size();
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
    return this.#box.scrollTop < TOP_DISTANCE_PX;
  }

  /** Changes the list without moving the visible messages. At the end, the observer handles the new size. */
  keepPosition(change) {
    if (this.#staysAtEnd) {
      change();
      return;
    }
    const anchor = this.#anchor();
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (anchor?.isConnected) this.#box.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  /** Scrolls to the end, and stays there while the list grows. */
  toEnd({ smooth = false } = {}) {
    this.#staysAtEnd = true;
    const top = this.#box.scrollHeight;
    if (smooth && !matchMedia('(prefers-reduced-motion: reduce)').matches)
      this.#box.scrollTo({ top, behavior: 'smooth' });
    else this.#box.scrollTop = top;
  }

  /** Scrolls to `element`, with some messages above it. */
  scrollTo(element) {
    this.#staysAtEnd = false;
    this.#box.scrollTop +=
      element.getBoundingClientRect().top - this.#box.getBoundingClientRect().top - this.#box.clientHeight / 3;
    this.#staysAtEnd = this.#mayStayAtEnd() && this.#isNearEnd();
  }

  stop() {
    this.#observer.disconnect();
  }

  #size() {
    return `${this.#box.clientHeight} ${this.#list.offsetHeight}`;
  }

  #isNearEnd() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop <= END_DISTANCE_PX;
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
