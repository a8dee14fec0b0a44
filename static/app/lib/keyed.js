// Keeping a list of elements level with a list of items.
// Lives here: the keyed update. An element stays the same for as long as its key is in the list, so that focus, scroll
// position and what a screen reader has read survive an update. May not live here: what the elements look like.

const views = new WeakMap();

/**
 * Makes the children of `parent` show `items`, in order.
 * @template T
 * @param {ParentNode & Node} parent holds nothing but these children
 * @param {T[]} items
 * @param {{key: (item: T) => string, create: (item: T) => Element, update?: (element: Element, item: T) => void}} how
 *   `create` builds an element, `update` is called for every item of the list, also right after `create`
 */
export function keyedList(parent, items, { key, create, update = () => {} }) {
  const known = views.get(parent) ?? new Map();
  const next = new Map();
  for (const item of items) {
    const name = key(item);
    if (next.has(name)) continue;
    const element = known.get(name) ?? create(item);
    update(element, item);
    next.set(name, element);
  }
  for (const [name, element] of known) {
    if (!next.has(name)) element.remove();
  }
  const focused = known.size > 0 ? globalThis.document?.activeElement : null;
  let place = parent.firstChild;
  for (const element of next.values()) {
    if (element === place) place = place.nextSibling;
    else put(parent, element, place);
  }
  views.set(parent, next);
  // Where moving an element costs it the focus, it gets it back.
  if (focused && focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** `moveBefore` keeps focus, selection and running animations; browsers without it take out and put in. */
function put(parent, element, place) {
  if (parent.moveBefore && element.parentNode === parent) parent.moveBefore(element, place);
  else parent.insertBefore(element, place);
}
