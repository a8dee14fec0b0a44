// Keeping a list of DOM elements equal to a list of items.
// This file contains the update by keys. An element stays the same as long as its key is in the list, so that focus,
// scroll position and the position of a screen reader stay.

const elementsOf = new WeakMap();

/**
 * Makes the children of `parent` show `items`, in order. A repeated key is shown once.
 * @template T
 * @param {ParentNode & Node} parent an element with no other children
 * @param {T[]} items
 * @param {{key: (item: T) => string, create: (item: T) => Element, update?: (element: Element, item: T) => void}}
 *   options
 *   `create` builds an element; `update` is called for every item, also right after `create`
 */
export function keyedList(parent, items, { key, create, update = () => {} }) {
  const oldElements = elementsOf.get(parent) ?? new Map();
  const newElements = new Map();
  for (const item of items) {
    const itemKey = key(item);
    if (newElements.has(itemKey)) continue;
    const element = oldElements.get(itemKey) ?? create(item);
    update(element, item);
    newElements.set(itemKey, element);
  }
  for (const [itemKey, element] of oldElements) {
    if (!newElements.has(itemKey)) element.remove();
  }
  const focused = oldElements.size > 0 ? globalThis.document?.activeElement : null;
  let nextChild = parent.firstChild;
  for (const element of newElements.values()) {
    if (element === nextChild) nextChild = nextChild.nextSibling;
    else insertBefore(parent, element, nextChild);
  }
  elementsOf.set(parent, newElements);
  // In some browsers an element that is moved loses the focus. Give it back.
  if (focused && focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Inserts or moves an element. `moveBefore` keeps focus, selection and animations, but not every browser has it. */
function insertBefore(parent, element, nextChild) {
  if (parent.moveBefore && element.parentNode === parent) parent.moveBefore(element, nextChild);
  else parent.insertBefore(element, nextChild);
}
