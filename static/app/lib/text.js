// Texts that users write.
// This file counts and shortens texts as the server does, and makes initials.

/** The most characters in a message, in Unicode scalar values. */
export const MAX_MESSAGE_LENGTH = 10_000;

/** Returns the number of Unicode scalar values without white space around the text, as the server counts. */
export function scalarCount(text) {
  let count = 0;
  for (const _ of text.trim()) count += 1;
  return count;
}

/** Whether a text is empty or invisible. The server refuses such messages. */
export function isBlank(text) {
  return BLANK.test(text);
}

const BLANK = /^[\s\p{Default_Ignorable_Code_Point}]*$/u;

const GRAPHEMES = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Returns the graphemes (what users see as one character). Without `Intl.Segmenter` returns Unicode scalar values. */
function* graphemes(text) {
  if (GRAPHEMES) for (const { segment } of GRAPHEMES.segment(text)) yield segment;
  else yield* text;
}

/** The greatest length of a preview or a quote, in Unicode scalar values. */
export const MAX_PREVIEW_LENGTH = 100;

/** Returns the beginning of a text, at most `max` Unicode scalar values long. It never ends inside a grapheme. */
export function preview(text, max = MAX_PREVIEW_LENGTH) {
  if (text.length <= max) return text;
  let [shown, left] = ['', max];
  for (const grapheme of graphemes(text)) {
    left -= [...grapheme].length;
    if (left < 0) break;
    shown += grapheme;
  }
  return shown;
}

const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u200d|\ufe0f|\s)+$/u;

/** Whether a message contains only a few emoji, which are shown larger. */
export function isEmojiOnly(text) {
  const plain = text.trim();
  return plain.length > 0 && plain.length <= 24 && EMOJI_ONLY.test(plain);
}

/** Returns one or two letters for a name. */
export function initials(name) {
  const words = name
    .trim()
    .split(/[\s._-]+/u)
    .filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words.slice(0, 1);
  return letters.map((word) => graphemes(word).next().value.toLocaleUpperCase()).join('') || '?';
}

/** Returns a number from 0 to `size` - 1, always the same for one key. */
export function stableIndex(key, size) {
  let hash = 2166136261;
  for (const unit of key) hash = Math.imul(hash ^ unit.codePointAt(0), 16777619);
  return (hash >>> 8) % size;
}

/** Returns a list of names: "Ana", "Ana and Ben", "Ana, Ben and 3 others". */
export function nameList(names, max = 3) {
  if (names.length <= 1) return names.join('');
  if (names.length <= max) return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  const rest = names.length - max + 1;
  return `${names.slice(0, max - 1).join(', ')} and ${rest} others`;
}

export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
