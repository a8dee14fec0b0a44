// The reader's place in a list that grows and shrinks at both ends.
// This file keeps the list at its end, or keeps what is on the screen still while rows above or below come, go or change
// their height. It must not contain which rows there are.
//
// The browser's own scroll anchoring is off, because not every browser has it. Instead the position of rows on the
// screen is noted after each movement of the user, and restored after each change of the layout. Rows that are not
// rendered yet have an estimated height, which changes when they come near the screen; the observer corrects that before
// it is painted.

/** A position this close to the end counts as the end, in pixels. */
const END_DISTANCE_PX = 48;
/** The distance from the top at which the row is held from which the user wants to read, in parts of the height. */
const HOLD_AT = 0.15;
/** The user is still scrolling until this time after the last movement, in milliseconds. */
const SCROLLING_MS = 400;
/** The most rows whose position is noted: if one is removed, another one is used. */
const MAX_ANCHORS = 9;

/** Keeps the scroll position of a list of messages. */
export class ScrollKeeper {
  #box;
  #rows;
  #follows = true;
  #mayFollow = true;
  /** the rows to keep still, the most suitable first, with their distance from the top of the box */
  #anchors = [];
  #lastTop = 0;
  #lastMoveAt = -Infinity;
  #hold = null;
  #observer;

  /**
   * @param {HTMLElement} box the element that scrolls
   * @param {HTMLElement} rows the element inside it whose children are the rows
   * @param {{onMove: () => void}} listeners `onMove` is called after each movement and each change of a size
   */
  constructor(box, rows, { onMove }) {
    this.#box = box;
    this.#rows = rows;
    box.addEventListener(
      'scroll',
      () => {
        this.#scrolled();
        onMove();
      },
      { passive: true },
    );
    // Fonts, images, a growing text box, the keyboard of a phone and rows that are rendered for the first time change
    // sizes without a scroll event.
    this.#observer = new ResizeObserver(() => {
      this.#settle();
      onMove();
    });
    this.#observer.observe(box);
    this.#observer.observe(rows);
  }

  /** Whether the view stays at the end while rows are added. */
  get follows() {
    return this.#follows;
  }

  get atEnd() {
    return this.#follows || this.#distanceToEnd() <= END_DISTANCE_PX;
  }

  /** False while the list does not reach to the newest message. Then its end is no place to stay at. */
  set mayFollow(mayFollow) {
    if (mayFollow === this.#mayFollow) return;
    this.#mayFollow = mayFollow;
    if (!mayFollow && this.#follows) {
      this.#follows = false;
      this.#noteAnchors();
    }
  }

  /** How much is above and below what is on the screen, in heights of the box. */
  get screens() {
    const { scrollTop, clientHeight } = this.#box;
    const height = Math.max(clientHeight, 1);
    return { before: scrollTop / height, after: this.#distanceToEnd() / height };
  }

  /**
   * Changes the rows and keeps the place.
   * @param {() => void} apply
   * @param {Element|null} [hold] the first row that the user has not read: the view follows the end no further than this
   *   row is on the screen
   */
  change(apply, hold = null) {
    const isScrolling = performance.now() - this.#lastMoveAt < SCROLLING_MS;
    if (!this.#follows && this.#mayFollow && !isScrolling) this.#follows = this.#distanceToEnd() <= END_DISTANCE_PX;
    apply();
    this.#hold = hold;
    this.#settle();
  }

  /** Goes to the end, and stays there while rows are added. */
  toEnd() {
    this.#hold = null;
    this.#follows = true;
    this.#settle();
    if (!this.#mayFollow) this.#follows = false;
  }

  /** Goes to the end, but no further than `row` is near the top. */
  toEndOr(row) {
    this.#follows = true;
    this.#hold = row;
    this.#settle();
  }

  /** Goes to where `row` is `offset` below the top of the box; by default with some rows above it. */
  place(row, offset = this.#box.clientHeight / 3) {
    this.#hold = null;
    this.#follows = false;
    this.#anchors = [{ row, top: offset }];
    this.#lastTop = this.#box.scrollTop;
    this.#settle();
  }

  /** Returns the row in the middle of the screen and its distance from the top; null without rows. */
  get position() {
    if (this.#anchors.length === 0) this.#noteAnchors();
    const anchor = this.#anchors.find(({ row }) => row.isConnected && row.dataset.seq);
    return anchor ? { row: anchor.row, offset: anchor.top } : null;
  }

  stop() {
    this.#observer.disconnect();
  }

  #scrolled() {
    const top = this.#box.scrollTop;
    const moved = top - this.#lastTop;
    const distance = this.#distanceToEnd();
    if (Math.abs(moved) >= 1) this.#lastMoveAt = performance.now();
    // Only the user moves up. A list that becomes shorter moves up too, but then it is still at its end.
    if (this.#follows && moved <= -1 && distance > 1) this.#follows = false;
    else if (!this.#follows && this.#mayFollow && moved >= 1 && distance <= END_DISTANCE_PX) this.#follows = true;
    if (Math.abs(moved) >= 1) this.#hold = null;
    if (!this.#follows) this.#restore(moved);
    this.#lastTop = this.#box.scrollTop;
    this.#noteAnchors();
  }

  /** Restores the place after the layout has changed. */
  #settle() {
    const moved = this.#box.scrollTop - this.#lastTop;
    if (this.#follows) this.#goToEnd();
    else if (!this.#restore(moved)) this.#noteAnchors();
    this.#lastTop = this.#box.scrollTop;
  }

  #goToEnd() {
    const end = this.#box.scrollHeight - this.#box.clientHeight;
    if (this.#hold?.isConnected) {
      const top = this.#box.clientHeight * HOLD_AT;
      const limit = this.#box.scrollTop + this.#topOf(this.#hold) - top;
      if (limit < end - 1) {
        this.#follows = false;
        this.#anchors = [{ row: this.#hold, top }];
        this.#box.scrollTop = limit;
        return;
      }
    }
    this.#box.scrollTop = end;
  }

  /**
   * Moves the noted rows back to their place, after the user moved by `moved` and the layout changed.
   * @returns {boolean} false if that was not possible, because all are gone or the list ends
   */
  #restore(moved) {
    const anchor = this.#anchors.find(({ row }) => row.isConnected);
    if (!anchor) return false;
    for (const each of this.#anchors) each.top -= moved;
    const shift = this.#topOf(anchor.row) - anchor.top;
    if (Math.abs(shift) < 0.5) return true;
    this.#box.scrollTop += shift;
    return Math.abs(this.#topOf(anchor.row) - anchor.top) <= 1;
  }

  /**
   * Notes the positions of the rows on the screen, beginning with the one in the middle. A row at the top can change its
   * height when rows are added above it, and the lines between days can move, so that they are not used.
   */
  #noteAnchors() {
    const height = this.#box.clientHeight;
    const rows = this.#rows.children;
    const middle = this.#indexAt(height / 2);
    this.#anchors = [];
    for (let distance = 0; distance < rows.length && this.#anchors.length < MAX_ANCHORS; distance += 1) {
      for (const row of distance === 0 ? [rows[middle]] : [rows[middle - distance], rows[middle + distance]]) {
        if (row?.matches('.message, .system')) this.#anchors.push({ row, top: this.#topOf(row) });
      }
    }
  }

  /** Returns the index of the first row that ends below `y`, by bisection. */
  #indexAt(y) {
    const rows = this.#rows.children;
    const top = this.#box.getBoundingClientRect().top;
    let [low, high] = [0, rows.length - 1];
    while (low < high) {
      const index = (low + high) >> 1;
      if (rows[index].getBoundingClientRect().bottom - top > y) high = index;
      else low = index + 1;
    }
    return low;
  }

  #topOf(row) {
    return row.getBoundingClientRect().top - this.#box.getBoundingClientRect().top;
  }

  #distanceToEnd() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }
}
