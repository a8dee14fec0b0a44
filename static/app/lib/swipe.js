// Swipes to the side.
// This file distinguishes a swipe of a finger to the side from a scroll, and moves the element with the finger.

/** A swipe counts from this distance on, in pixels. */
const SWIPE_PX = 56;
/** The element follows the finger up to this distance, in pixels. */
const MAX_SHIFT_PX = 72;
/** A finger must move this far before it is a swipe or a scroll, in pixels. */
const START_PX = 12;
/** Swipes that begin this close to an edge of the screen belong to the system, in pixels. */
const EDGE_PX = 24;

/**
 * Calls `onSwipe` with the element that a finger moved to the side. The style sheet must leave vertical movements to
 * the browser (`touch-action: pan-y`).
 * @param {HTMLElement} box the element that contains the elements
 * @param {string} selector
 * @param {{onSwipe: (element: HTMLElement) => void, maySwipe: (element: HTMLElement) => boolean}} listeners
 */
export function onSwipe(box, selector, { onSwipe: call, maySwipe }) {
  let swipe = null;

  const end = () => {
    if (!swipe) return;
    swipe.element.style.removeProperty('--swipe');
    swipe.element.classList.remove('swiping', 'swiped');
    swipe = null;
  };

  box.addEventListener('pointerdown', (event) => {
    end();
    const element = event.pointerType === 'touch' && event.isPrimary && event.target.closest(selector);
    if (!element || event.clientX < EDGE_PX || event.clientX > innerWidth - EDGE_PX || !maySwipe(element)) return;
    swipe = { element, id: event.pointerId, x: event.clientX, y: event.clientY, isActive: false };
  });
  box.addEventListener('pointermove', (event) => {
    if (swipe?.id !== event.pointerId) return;
    const [x, y] = [event.clientX - swipe.x, event.clientY - swipe.y];
    if (!swipe.isActive) {
      if (Math.abs(y) > START_PX) return end();
      if (Math.abs(x) < START_PX || !getSelection().isCollapsed) return undefined;
      swipe.isActive = true;
      swipe.element.classList.add('swiping');
    }
    const shift = Math.sign(x) * Math.min(Math.abs(x), MAX_SHIFT_PX);
    swipe.element.style.setProperty('--swipe', `${shift}px`);
    swipe.element.classList.toggle('swiped', Math.abs(x) >= SWIPE_PX);
    return undefined;
  });
  box.addEventListener('pointerup', (event) => {
    if (swipe?.id !== event.pointerId) return;
    const { element, isActive } = swipe;
    const isSwiped = isActive && element.classList.contains('swiped');
    end();
    if (!isSwiped) return;
    navigator.vibrate?.(8);
    call(element);
  });
  box.addEventListener('pointercancel', end);
}
