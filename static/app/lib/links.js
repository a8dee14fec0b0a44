// Web addresses in a text.
// This file finds where an address begins and ends, by the rules of the server (`src/domain/links.rs`). Both are tested
// with `tests/cases/links.json`.

/** A letter, a digit, or a combining mark. */
const WORD = String.raw`[\p{Alphabetic}\p{N}\p{M}]`;

/**
 * The end of an address: white space, invisible characters, quotation marks, angle brackets, East Asian punctuation.
 */
const END = String.raw`(?:[\s\p{Cc}\p{Default_Ignorable_Code_Point}<>"\x60“”„‟«»‹›\uFE10-\uFE1F\uFE30-\uFE6F]|(?!${WORD})[\u3000-\u303F\uFF00-\uFFEF])`;

const BEGIN = /https?:\/\/|www\./gi;
const FIRST = new RegExp(WORD, 'uy');
const ADDRESS_IN_BRACKETS = /\[[0-9a-f:.]+\]/iy;
/** The characters of host names, user names and ports. */
const HOST = new RegExp(`(?:(?!${END})(?:${WORD}|[-._~%:@]))*`, 'uy');
const IS_END = new RegExp(`^${END}`, 'u');
const IS_WORD = new RegExp(`^${WORD}`, 'u');
const CLOSING = { '(': ')', '[': ']', '{': '}' };
/** Characters at the end of an address that belong to the sentence: closing punctuation and opening brackets. */
const SENTENCE_CHARACTERS = '.,;:!?…\'‘’*_~([{،؛؟۔।॥།።։၊။។៕';

const SCRIPTS = (
  'Han Hiragana Katakana Bopomofo Thai Lao Khmer Myanmar Tibetan Javanese Balinese Tai_Le New_Tai_Lue Tai_Tham Tai_Viet'
).split(' ');
/** Letters of scripts that write words without spaces. A mark counts only by its own script. */
const WITHOUT_SPACES = new RegExp(
  `^(?:(?![\\p{Mn}\\p{Me}])[${SCRIPTS.map((name) => `\\p{scx=${name}}`).join('')}]` +
    `|(?=[\\p{Mn}\\p{Me}])[${SCRIPTS.map((name) => `\\p{sc=${name}}`).join('')}])`,
  'u',
);

/**
 * Returns the addresses in a text, in order.
 * @returns {{start: number, end: number}[]}
 */
export function addressRanges(text) {
  const ranges = [];
  BEGIN.lastIndex = 0;
  for (let match = BEGIN.exec(text); match; match = BEGIN.exec(text)) {
    const end = addressEnd(text, match.index, match[0]);
    if (end !== null) ranges.push({ start: match.index, end });
    BEGIN.lastIndex = end ?? match.index + 1;
  }
  return ranges;
}

/** Returns the link of an address; null if it is not a valid address. */
export function hrefOf(address) {
  const href = /^www\./i.test(address) ? `https://${address}` : address;
  try {
    return new URL(href) && href;
  } catch {
    return null;
  }
}

function addressEnd(text, start, prefix) {
  const before = characterBefore(text, start);
  if (before && IS_WORD.test(before) && !WITHOUT_SPACES.test(before)) return null;
  const host = start + prefix.length;
  let end;
  if (prefix.toLowerCase() === 'www.') {
    // The character before can make it part of another address, as in an e-mail address.
    if ((before && '.-@/'.includes(before)) || !matchAt(FIRST, text, host)) return null;
    end = host + matchAt(HOST, text, host).length;
    const labels = text.slice(host, end).split('.').slice(1);
    if (!labels.some((label) => IS_WORD.test(label))) return null;
  } else if (text[host] === '[') {
    const numbers = matchAt(ADDRESS_IN_BRACKETS, text, host);
    if (!numbers) return null;
    end = host + numbers.length;
    end += matchAt(HOST, text, end).length;
  } else {
    if (!matchAt(FIRST, text, host)) return null;
    end = host + matchAt(HOST, text, host).length;
  }
  if ('/?#'.includes(text[end] ?? ' ')) end = pathEnd(text, end);
  while (SENTENCE_CHARACTERS.includes(text[end - 1])) end -= 1;
  return end;
}

/** Returns the end of a path. Brackets that the address opens can close in it; any other closing bracket ends it. */
function pathEnd(text, from) {
  const open = [];
  for (let at = from; at < text.length; ) {
    const letter = String.fromCodePoint(text.codePointAt(at));
    if (CLOSING[letter]) open.push(CLOSING[letter]);
    else if (IS_END.test(letter) || (')]}'.includes(letter) && open.pop() !== letter)) return at;
    at += letter.length;
  }
  return text.length;
}

/** Returns what a sticky pattern matches at a position; null if it does not match there. */
function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

function characterBefore(text, at) {
  if (at === 0) return null;
  const pair = at > 1 && /[\uDC00-\uDFFF]/.test(text[at - 1]);
  return String.fromCodePoint(text.codePointAt(pair ? at - 2 : at - 1));
}
