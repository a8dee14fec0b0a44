// How long things may be that people type.
// Lives here: the server's limits, in characters (Unicode scalar values), and the sentence for what is longer. May not live
// here: messages, which count down as one writes (text.js).

export const SHORTEST_PASSWORD = 8;
export const LONGEST_PASSWORD = 128;
/** Of a person or a group. */
export const LONGEST_NAME = 255;
export const LONGEST_DESCRIPTION = 2_000;
export const LONGEST_ADDRESS = 2_048;

/** What to say of `count` characters where at most `most` are taken; null if that is all right. */
export function limitSentence(count, most) {
  if (count <= most) return null;
  return `At most ${most.toLocaleString('en')} characters: ${(count - most).toLocaleString('en')} too many.`;
}
