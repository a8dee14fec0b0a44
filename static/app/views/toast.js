// Short notes at the edge of the screen.
// This file shows that an action worked, or why it failed.

import { h } from '../lib/dom.js';
import { errorText } from './texts.js';

/** How long a note is shown, in milliseconds. */
const TOAST_MS = 5_000;

let layer = null;

/** Shows a note. @param {'note'|'error'} kind */
export function showToast(text, kind = 'note') {
  layer ??= h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite', popover: 'manual' });
  if (!layer.isConnected) document.body.append(layer);
  // The note must be above an open dialog, and the layer that was shown last is on top.
  hideLayer();
  layer.showPopover?.();
  const toast = h('p', { class: 'toast', data: { kind }, textContent: text });
  layer.replaceChildren(toast);
  setTimeout(() => {
    toast.remove();
    if (layer.childElementCount === 0) hideLayer();
  }, TOAST_MS);
}

function hideLayer() {
  if (layer.hidePopover && layer.matches(':popover-open')) layer.hidePopover();
}

/** Shows a note if `promise` rejects. @returns {Promise<boolean>} whether it resolved */
export async function toastOnError(promise) {
  try {
    await promise;
    return true;
  } catch (error) {
    showToast(errorText(error), 'error');
    return false;
  }
}
