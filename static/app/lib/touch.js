// Whether the user works with fingers.
// This file contains the question alone, so that all parts of the app answer it in the same way.

const touch = globalThis.matchMedia?.('(hover: none) and (pointer: coarse)');

/** Whether the main pointer is a finger. Such a device has no hover, and its Enter key begins a new line. */
export function isTouch() {
  return touch?.matches ?? false;
}
