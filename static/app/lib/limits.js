// The most characters in what users type.
// This file contains the limits of the server, in characters (Unicode scalar values), and the text for input that is
// too long. It must not contain the limit of messages, which is shown while the user writes (text.js).

export const MIN_PASSWORD_LENGTH = 8;
export const MAX_PASSWORD_LENGTH = 128;
/** For users and groups. */
export const MAX_NAME_LENGTH = 255;
export const MAX_DESCRIPTION_LENGTH = 2_000;
export const MAX_URL_LENGTH = 2_048;

/** Returns the text for `count` characters if at most `max` are allowed; null if they are. */
export function lengthError(count, max) {
  if (count <= max) return null;
  return `At most ${max.toLocaleString('en')} characters: ${(count - max).toLocaleString('en')} too many.`;
}
