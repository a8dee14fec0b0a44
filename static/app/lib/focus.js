// Where the focus goes.
// Lives here: handing it on when what had it is taken out of a list. May not live here: focus inside dialogs, which the
// browser keeps.

/**
 * Runs `change`. If the child of `list` that had the focus is gone after it, its successor gets it, else what is before,
 * else `fallback`.
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
  const left = [...list.children];
  const near = [...left.slice(index), ...left.slice(0, index).reverse()].map(focusable).find(Boolean);
  (near ?? fallback)?.focus({ preventScroll: true });
}

/** A row of a list itself, or the link or last button in it: the one that does something to the row. */
function focusable(row) {
  return row.hasAttribute('tabindex') ? row : [...row.querySelectorAll('a[href], button:not([hidden])')].at(-1);
}
