// What opens beside something: menus, the emoji picker.
// Lives here: the layer — where it stands, one at a time, gone on Escape and on a press outside. The browser's
// own modal dialog keeps the focus inside and gives it back. On a narrow screen it is a sheet at the bottom. May not live
// here: what is in it, or closing it when the page changes (dialog.js).

import { h } from '../lib/dom.js';

/** Between the layer and what it belongs to, and to the edges of the window, in pixels. */
const GAP = 6;

/**
 * @param {{label: string, at: Element|{x: number, y: number}, className?: string}} options `at`: what it stands beside
 * @param {(close: (after?: () => void) => void) => Node[]} build `close` may be given what is to happen once it is gone
 */
export function openPopup({ label, at, className = '' }, build) {
  document.querySelector('dialog.popup')?.close();
  let outside = false;
  // What follows happens in the same step, not with the browser's later `close` event: keys pressed in between are for it.
  const close = (after = null) => {
    layer.close();
    layer.remove();
    after?.();
  };
  const layer = h('dialog', {
    class: `popup ${className}`,
    'aria-label': label,
    on: {
      close: () => layer.remove(),
      // A press that begins inside and ends outside, as in selecting a text, is none on the outside.
      pointerdown: (event) => (outside = event.target === layer),
      click: (event) => outside && event.target === layer && close(),
    },
  });
  layer.append(h('div', { class: 'popup-body' }, build(close)));
  document.body.append(layer);
  layer.showModal();
  place(layer, at);
  return close;
}

/** Below what it belongs to, or above where there is no room; the style sheet overrules this on a narrow screen. */
function place(layer, at) {
  const box = at instanceof Element ? at.getBoundingClientRect() : { left: at.x, right: at.x, top: at.y, bottom: at.y };
  const { offsetWidth: width, offsetHeight: height } = layer;
  const below = box.bottom + GAP + height <= window.innerHeight - GAP;
  const top = below ? box.bottom + GAP : Math.max(GAP, box.top - GAP - height);
  const right = box.left + width > window.innerWidth - GAP;
  const left = right ? Math.max(GAP, box.right - width) : box.left;
  layer.style.setProperty('--popup-top', `${top}px`);
  layer.style.setProperty('--popup-left', `${left}px`);
}
