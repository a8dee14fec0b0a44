// Which messages of a list are on the screen.
// This file contains measurements of rows that have a `data-seq`. It must not decide what follows from them.

/** A message counts as seen if at most this much of it is below the edge, in pixels. */
const HIDDEN_PART_PX = 24;

/**
 * Returns the greatest `seq` that the user has seen, if the messages from the read mark on are on the screen without a
 * gap. Null if the first message after the mark is not on the screen: what is below it was not reached by reading.
 * @param {HTMLElement} box the element that scrolls
 * @param {HTMLElement} list the element with the rows
 * @param {number} mark
 * @returns {number|null}
 */
export function lastSeen(box, list, mark) {
  const { top, bottom } = box.getBoundingClientRect();
  let seen = null;
  for (let element = firstAfter(list, mark); element; element = element.nextElementSibling) {
    const rect = element.getBoundingClientRect();
    if (rect.bottom > bottom + HIDDEN_PART_PX) break;
    if (!element.dataset.seq) continue;
    if (rect.bottom <= top) return null;
    seen = Number(element.dataset.seq);
  }
  return seen;
}

/** Returns the `seq` of the message in the middle of the screen. Null if there is none. */
export function middleSeq(box, list) {
  const { top, height } = box.getBoundingClientRect();
  for (const element of list.children) {
    if (element.dataset.seq && element.getBoundingClientRect().bottom > top + height / 2)
      return Number(element.dataset.seq);
  }
  return null;
}

/** Finds the row from the end, because the mark is nearly always there. */
function firstAfter(list, mark) {
  let found = null;
  for (let element = list.lastElementChild; element; element = element.previousElementSibling) {
    if (!element.dataset.seq) continue;
    if (Number(element.dataset.seq) <= mark) break;
    found = element;
  }
  return found;
}
