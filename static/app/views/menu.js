// Menus.
// This file contains a list of items to choose from. Arrows, Home, End and first letters move through it. It must not
// contain the position of the menu (popup.js), or the items.

import { h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { openPopup } from './popup.js';

/**
 * Opens a menu.
 * @typedef {{label: string, icon?: string, danger?: boolean, checked?: boolean, run: () => void}} MenuItem `checked`:
 *   the item is one of several options, and whether it is the chosen one
 * @param {{label: string, at: Element|object, items: (MenuItem|false|null)[], header?: (close: Function) => Node}}
 *   options `header` is shown above the items
 */
export function openMenu({ label, at, items, header = null }) {
  openPopup({ label, at, className: 'menu-popup' }, (close) => {
    const menu = h(
      'div',
      { class: 'menu', role: 'menu', 'aria-label': label, on: { keydown: moveByKeys } },
      items.filter(Boolean).map((item) => entry(item, close)),
    );
    queueMicrotask(() => menu.querySelector('[aria-checked="true"], .menu-item')?.focus());
    return [header?.(close), menu];
  });
}

function entry({ label, icon: name, danger, checked, run }, close) {
  return h(
    'button',
    {
      type: 'button',
      class: `menu-item ${danger ? 'danger' : ''}`,
      role: checked === undefined ? 'menuitem' : 'menuitemradio',
      'aria-checked': checked === undefined ? null : String(checked),
      tabIndex: -1,
      on: { click: () => close(run) },
    },
    name && icon(name, 19),
    h('span', { class: 'menu-label', textContent: label }),
    checked && icon('check', 18),
  );
}

function moveByKeys(event) {
  const items = [...event.currentTarget.querySelectorAll('.menu-item')];
  const index = items.indexOf(document.activeElement);
  const target =
    {
      ArrowDown: items[(index + 1) % items.length],
      ArrowUp: items.at(index <= 0 ? -1 : index - 1),
      Home: items[0],
      End: items.at(-1),
    }[event.key] ?? byLetter(items, index, event);
  if (!target) return;
  event.preventDefault();
  target.focus();
}

/** Returns the next item that begins with the letter. */
function byLetter(items, index, { key, ctrlKey, metaKey, altKey }) {
  if (key.length !== 1 || key === ' ' || ctrlKey || metaKey || altKey) return null;
  const letter = key.toLocaleLowerCase();
  const order = [...items.slice(index + 1), ...items.slice(0, index + 1)];
  return order.find((item) => item.textContent.trim().toLocaleLowerCase().startsWith(letter));
}
