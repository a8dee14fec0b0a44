// The focus in changing lists.
// This file moves the focus when the element that had it is removed from a list. It must not contain the focus inside
// dialogs, which the browser keeps.

/**
 * Runs `change`. If it removes the child of `list` that has the focus, the next child gets the focus, else the one
 * before, else `fallback`.
 * @param {Element} list
 * @param {() => void} change
 * @param {HTMLElement} [fallback]
 */
export function keepFocus(list, change, fallback) {
  const { activeElement } = globalThis.document ?? {};
  const index = list.contains(activeElement)
    ? [...list.children].findIndex((child) => child.contains(activeElement))
    : -1;
  change();
  if (index === -1 || list.contains(document.activeElement)) return;
  const remaining = [...list.children];
  const target = [...remaining.slice(index), ...remaining.slice(0, index).reverse()].map(focusable).find(Boolean);
  (target ?? fallback)?.focus({ preventScroll: true });
}

/** Returns the row itself if it can have the focus, else the link or the last button in it. */
function focusable(row) {
  return row.hasAttribute('tabindex') ? row : [...row.querySelectorAll('a[href], button:not([hidden])')].at(-1);
}
