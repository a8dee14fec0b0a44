// Work that is done once a frame.
// This file contains the collection of many requests into one run before the next frame is painted.

/** A hidden page has no frames. Then the work is done after this time, in milliseconds. */
const HIDDEN_DELAY_MS = 250;

/**
 * Runs `task` at most once a frame, however often it is requested.
 * @param {() => void} task
 * @returns {{request: () => void, run: () => void, cancel: () => void}} `run` runs it now, instead of a requested run
 */
export function oncePerFrame(task) {
  let cancelRequested = null;
  const cancel = () => {
    cancelRequested?.();
    cancelRequested = null;
  };
  const run = () => {
    cancel();
    task();
  };
  return {
    request() {
      if (cancelRequested) return;
      if (document.visibilityState === 'hidden') {
        const timer = setTimeout(run, HIDDEN_DELAY_MS);
        cancelRequested = () => clearTimeout(timer);
      } else {
        const frame = requestAnimationFrame(run);
        cancelRequested = () => cancelAnimationFrame(frame);
      }
    },
    run,
    cancel,
  };
}
