// What the user sees of a conversation.
// This file observes which messages are on the screen, and moves the read mark over those that the user has seen. It
// must not contain rows, or the scroll position.

import { SeenMessages } from '../state/seen.js';

/** A message counts as seen if this part of it is on the screen, or its end. */
const SEEN_RATIO = 0.5;

/** Whether the user looks at the page. */
export function isPageActive() {
  return document.visibilityState === 'visible' && document.hasFocus();
}

/**
 * Observes the messages on the screen.
 * @param {HTMLElement} box the element that scrolls
 * @param {{onView: (view: {first: number, last: number}) => void, onRead: (seen: SeenMessages) => void}} listeners
 *   `onView` is called with the first and the last `seq` on the screen; `onRead` after the user saw messages
 */
export function observeReading(box, { onView, onRead }) {
  const seen = new SeenMessages();
  /** rows on the screen → whether enough of the row is on it */
  const visible = new Map();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting, intersectionRatio } of entries) {
        if (isIntersecting) visible.set(target, intersectionRatio >= SEEN_RATIO);
        else visible.delete(target);
        if (!target.isConnected) observer.unobserve(target);
        // The row was laid out now, so its height is known. From now on the style sheet may leave it out.
        target.dataset.drawn = '';
      }
      const seqs = [...visible.keys()].map(seqOf).filter(Boolean);
      if (seqs.length > 0) onView({ first: Math.min(...seqs), last: Math.max(...seqs) });
      update();
    },
    { root: box, threshold: [0, SEEN_RATIO, 1] },
  );

  /** Notes what the user sees, also of messages that are higher than the screen. */
  function update() {
    if (!isPageActive()) return;
    for (const [row, isEnough] of visible) if (isEnough || showsEnd(row)) seen.add(seqOf(row));
    onRead(seen);
  }

  function showsEnd(row) {
    const { bottom, height } = row.getBoundingClientRect();
    return height > box.clientHeight && bottom <= box.getBoundingClientRect().bottom + 1;
  }

  return {
    observe: (row) => observer.observe(row),
    update,
    /** Notes that messages passed the screen while the user was watching the newest ones arrive. */
    add(seqs) {
      for (const seq of seqs) seen.add(seq);
    },
    stop: () => observer.disconnect(),
  };
}

const seqOf = (row) => Number(row.dataset.seq) || 0;
