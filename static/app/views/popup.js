// Popups: menus and the emoji picker.
// This file contains the layer: its position, one at a time, and closing on Escape and on a press outside. The
// browser's modal dialog keeps the focus inside and gives it back. On a narrow screen the layer is at the bottom. It
// must not contain the content, or closing it when the route changes (dialog.js).

import { h } from '../lib/dom.js';

/** The distance between the layer, its anchor and the edges of the window, in pixels. */
const GAP_PX = 6;

/**
 * Opens a popup.
 * @param {{label: string, at: Element|{x: number, y: number}, className?: string}} options `at`: the anchor beside
 *   which the popup opens
 * @param {(close: (after?: () => void) => void) => Node[]} build returns the content; `close` calls `after` at the end
 */
export function openPopup({ label, at, className = '' }, build) {
  document.querySelector('dialog.popup')?.close();
  let pressedOutside = false;
  // Call `after` in the same step, not at the browser's later `close` event: keys pressed in between belong to it.
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
      // A press that begins inside and ends outside, as in selecting text, does not close the popup.
      pointerdown: (event) => (pressedOutside = event.target === layer),
      click: (event) => pressedOutside && event.target === layer && close(),
    },
  });
  layer.append(h('div', { class: 'popup-body' }, build(close)));
  document.body.append(layer);
  layer.showModal();
  setPosition(layer, at);
  return close;
}

/** Sets the position below the anchor, or above it if there is no space. On a narrow screen the style sheet sets it. */
function setPosition(layer, at) {
  const box = at instanceof Element ? at.getBoundingClientRect() : { left: at.x, right: at.x, top: at.y, bottom: at.y };
  const { offsetWidth: width, offsetHeight: height } = layer;
  const below = box.bottom + GAP_PX + height <= window.innerHeight - GAP_PX;
  const top = below ? box.bottom + GAP_PX : Math.max(GAP_PX, box.top - GAP_PX - height);
  const right = box.left + width > window.innerWidth - GAP_PX;
  const left = right ? Math.max(GAP_PX, box.right - width) : box.left;
  layer.style.setProperty('--popup-top', `${top}px`);
  layer.style.setProperty('--popup-left', `${left}px`);
}
