// Long presses.
// Lives here: telling a finger that rests from one that taps or scrolls. May not live here: what opens.

/** A finger that rests this long means it, in milliseconds. */
const LONG = 450;
/** A finger that moves further than this scrolls, in pixels. */
const STRAY = 10;

/**
 * Calls `onPress` with the element under a resting finger that matches `selector`. A mouse keeps its own menu.
 * @param {HTMLElement} box
 * @param {string} selector
 * @param {(element: Element) => void} onPress
 */
export function onLongPress(box, selector, onPress) {
  let timer = null;
  let start = null;
  let pressed = false;
  const end = () => {
    clearTimeout(timer);
    timer = null;
  };
  box.addEventListener('pointerdown', (event) => {
    end();
    pressed = false;
    const element = event.pointerType === 'touch' && event.isPrimary && event.target.closest(selector);
    if (!element) return;
    start = { x: event.clientX, y: event.clientY };
    timer = setTimeout(() => {
      timer = null;
      pressed = true;
      navigator.vibrate?.(8);
      onPress(element);
    }, LONG);
  });
  box.addEventListener('pointermove', (event) => {
    if (timer !== null && Math.hypot(event.clientX - start.x, event.clientY - start.y) > STRAY) end();
  });
  for (const type of ['pointerup', 'pointercancel', 'pointerleave']) box.addEventListener(type, end);
  box.addEventListener('scroll', end, { passive: true });
  // What the browser would do with the same press: its own menu, or following a link when the finger goes up.
  box.addEventListener('contextmenu', (event) => {
    if (timer !== null || pressed) event.preventDefault();
  });
  box.addEventListener(
    'click',
    (event) => {
      if (!pressed) return;
      pressed = false;
      event.preventDefault();
      event.stopPropagation();
    },
    { capture: true },
  );
}
