// Long presses.
// This file distinguishes a long press of a finger from a tap or a scroll.

/** A press of a finger is long after this time, in milliseconds. */
const LONG_PRESS_MS = 450;
/** A finger that moves further than this scrolls, in pixels. */
const MAX_MOVE_PX = 10;

/**
 * Calls `onPress` with the element that matches `selector` after a long press of a finger. A mouse has the context
 * menu.
 * @param {HTMLElement} box the element that contains the elements
 * @param {string} selector
 * @param {(element: Element) => void} onPress
 */
export function onLongPress(box, selector, onPress) {
  let timer = null;
  let start = null;
  let pressed = null;
  const cancel = () => {
    clearTimeout(timer);
    timer = null;
    pressed?.classList.remove('pressed');
    pressed = null;
  };
  box.addEventListener('pointerdown', (event) => {
    cancel();
    const element = event.pointerType === 'touch' && event.isPrimary && event.target.closest(selector);
    if (!element) return;
    start = { x: event.clientX, y: event.clientY };
    // The style sheet turns the browser's own selection by a long press off for elements with this class.
    pressed = element;
    pressed.classList.add('pressed');
    timer = setTimeout(() => {
      timer = null;
      ignoreClick();
      getSelection().removeAllRanges();
      navigator.vibrate?.(8);
      onPress(element);
    }, LONG_PRESS_MS);
  });
  box.addEventListener('pointermove', (event) => {
    if (timer !== null && Math.hypot(event.clientX - start.x, event.clientY - start.y) > MAX_MOVE_PX) cancel();
  });
  for (const type of ['pointerup', 'pointercancel', 'pointerleave']) box.addEventListener(type, cancel);
  box.addEventListener('scroll', cancel, { passive: true });
}

/**
 * Ignores what the browser does with the same press: its own menu, and a click on the element that is under the finger
 * when the finger goes up.
 */
function ignoreClick() {
  const ignore = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  const capture = { capture: true };
  const done = () => {
    for (const type of ['click', 'contextmenu']) window.removeEventListener(type, ignore, capture);
    window.removeEventListener('pointerdown', done, capture);
  };
  for (const type of ['click', 'contextmenu']) window.addEventListener(type, ignore, capture);
  window.addEventListener('pointerdown', done, capture);
}
