// Text that people wrote.
// Lives here: counting and cutting as the server does, initials. May not live here: elements (views build those).

/** The longest message, in Unicode scalar values. */
export const LONGEST_MESSAGE = 10_000;

/** Unicode scalar values of a text, without the white space around it: what the server counts. */
export function scalarCount(text) {
  let count = 0;
  for (const _ of text.trim()) count += 1;
  return count;
}

/** Whether nobody would see anything of a text; the server takes none of that kind. */
export function isBlank(text) {
  return BLANK.test(text);
}

const BLANK = /^[\s\p{Default_Ignorable_Code_Point}]*$/u;

const GRAPHEMES = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** What people see as single characters, one after another; where the browser cannot tell, Unicode's. */
function* graphemes(text) {
  if (GRAPHEMES) for (const { segment } of GRAPHEMES.segment(text)) yield segment;
  else yield* text;
}

/** The longest a preview or a quote is, in Unicode scalar values. */
export const PREVIEW = 100;

/** The beginning of a text, at most so many Unicode scalar values long; it never ends inside of what is seen as one. */
export function preview(text, most = PREVIEW) {
  if (text.length <= most) return text;
  let [shown, left] = ['', most];
  for (const grapheme of graphemes(text)) {
    left -= [...grapheme].length;
    if (left < 0) break;
    shown += grapheme;
  }
  return shown;
}

const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u200d|\ufe0f|\s)+$/u;

/** Whether a message is nothing but a few emoji, which then may be large. */
export function isEmojiOnly(text) {
  const plain = text.trim();
  return plain.length > 0 && plain.length <= 24 && EMOJI_ONLY.test(plain);
}

/** One or two letters that stand for a name. */
export function initials(name) {
  const words = name
    .trim()
    .split(/[\s._-]+/u)
    .filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words.slice(0, 1);
  return letters.map((word) => graphemes(word).next().value.toLocaleUpperCase()).join('') || '?';
}

/** A number from 0 to `size` - 1 that is always the same for one key. */
export function bucket(key, size) {
  let hash = 2166136261;
  for (const unit of key) hash = Math.imul(hash ^ unit.codePointAt(0), 16777619);
  return (hash >>> 8) % size;
}

/** "Ana", "Ana and Ben", "Ana, Ben and 3 others". */
export function nameList(names, most = 3) {
  if (names.length <= 1) return names.join('');
  if (names.length <= most) return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  const rest = names.length - most + 1;
  return `${names.slice(0, most - 1).join(', ')} and ${rest} others`;
}

export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
