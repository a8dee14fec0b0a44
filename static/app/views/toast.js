// A word at the edge of the screen.
// Lives here: saying shortly that something worked, or why it did not. May not live here: anything that must be answered.

import { h } from '../lib/dom.js';
import { sentence } from './words.js';

/** How long it stays, in milliseconds. */
const STAY = 5_000;

let box = null;

/** @param {'note'|'error'} kind */
export function say(text, kind = 'note') {
  box ??= h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite', popover: 'manual' });
  if (!box.isConnected) document.body.append(box);
  // Above an open dialog too: what was shown last is on top.
  lower();
  box.showPopover?.();
  const toast = h('p', { class: 'toast', data: { kind }, textContent: text });
  box.replaceChildren(toast);
  setTimeout(() => {
    toast.remove();
    if (box.childElementCount === 0) lower();
  }, STAY);
}

function lower() {
  if (box.hidePopover && box.matches(':popover-open')) box.hidePopover();
}

/** Says why something failed. @returns {Promise<boolean>} whether it worked */
export async function complain(promise) {
  try {
    await promise;
    return true;
  } catch (error) {
    say(sentence(error), 'error');
    return false;
  }
}
