// Text that people wrote.
// Lives here: counting as the server counts, finding links, initials. May not live here: elements (views build those).

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

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/gi;
/** What usually ends a sentence rather than an address. */
const TRAILING = /[.,;:!?…)\]}]+$/;

/**
 * Cuts a text into plain parts and links.
 * @returns {{text: string, href: string|null}[]}
 */
export function linkParts(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const address = trimmed(match[0]);
    if (!safeUrl(address)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), href: null });
    parts.push({ text: address, href: address });
    end = match.index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), href: null });
  return parts;
}

/** Keeps a closing bracket that was opened inside the address, as in encyclopedia links. */
function trimmed(address) {
  const cut = address.replace(TRAILING, '');
  const rest = address.slice(cut.length);
  return rest.startsWith(')') && cut.includes('(') && !cut.includes(')') ? `${cut})` : cut;
}

function safeUrl(address) {
  try {
    return ['http:', 'https:'].includes(new URL(address).protocol);
  } catch {
    return false;
  }
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
  return letters.map((word) => [...word][0].toLocaleUpperCase()).join('') || '?';
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
