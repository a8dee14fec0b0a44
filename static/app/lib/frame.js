// Running code before the next frame is painted.

/** A page that is visible but not painted, for example behind another window, has no frames. In milliseconds. */
const LATEST_MS = 100;

/** Calls `run` once: before the next frame, or soon if there is none. */
export function beforeNextFrame(run) {
  let frame = null;
  const once = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    run();
  };
  const timer = setTimeout(once, LATEST_MS);
  frame = requestAnimationFrame(once);
}
