// What a key means on this device.

/** The key code of every key that an input method handles. */
const INPUT_METHOD_KEY_CODE = 229;

/**
 * Whether an input method uses the key, for example Enter to end a word. In Safari `isComposing` is false by then, and
 * only the key code says so.
 */
export function isInputMethodKey({ isComposing, keyCode }) {
  return isComposing || keyCode === INPUT_METHOD_KEY_CODE;
}

/** Whether Enter sends a message. The keyboard of a touch screen has no Shift and Enter, so there it begins a line. */
export function isEnterSending() {
  return !matchMedia('(hover: none) and (pointer: coarse)').matches;
}
