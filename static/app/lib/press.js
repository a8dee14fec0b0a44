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
  const end = () => {
    clearTimeout(timer);
    timer = null;
  };
  box.addEventListener('pointerdown', (event) => {
    end();
    const element = event.pointerType === 'touch' && event.isPrimary && event.target.closest(selector);
    if (!element) return;
    start = { x: event.clientX, y: event.clientY };
    timer = setTimeout(() => {
      timer = null;
      swallowClick();
      navigator.vibrate?.(8);
      onPress(element);
    }, LONG);
  });
  box.addEventListener('pointermove', (event) => {
    if (timer !== null && Math.hypot(event.clientX - start.x, event.clientY - start.y) > STRAY) end();
  });
  for (const type of ['pointerup', 'pointercancel', 'pointerleave']) box.addEventListener(type, end);
  box.addEventListener('scroll', end, { passive: true });
}

/**
 * What the browser makes of the same press: its own menu, and a click where the finger goes up, on whatever is there by
 * then. Neither is meant.
 */
function swallowClick() {
  const swallow = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  const capture = { capture: true };
  const done = () => {
    for (const type of ['click', 'contextmenu']) window.removeEventListener(type, swallow, capture);
    window.removeEventListener('pointerdown', done, capture);
  };
  for (const type of ['click', 'contextmenu']) window.addEventListener(type, swallow, capture);
  window.addEventListener('pointerdown', done, capture);
}
