// Emoji for reactions.
// This file contains the common emoji with their names, the ones that this user used last, and the check for one emoji.

const STORAGE_KEY = 'greenroom.emoji';
const MAX_RECENT = 8;
/** The most bytes of one emoji that the server accepts. */
const MAX_EMOJI_BYTES = 64;

/** [emoji, name], in the order in which the picker shows them. */
export const COMMON = [
  ['👍', 'thumbs up'],
  ['❤️', 'red heart'],
  ['😂', 'tears of joy'],
  ['😮', 'surprised'],
  ['😢', 'crying'],
  ['🙏', 'folded hands'],
  ['🎉', 'party'],
  ['🔥', 'fire'],
  ['👏', 'clapping'],
  ['✅', 'check mark'],
  ['👀', 'eyes'],
  ['💯', 'hundred'],
  ['😀', 'grinning'],
  ['😊', 'smiling'],
  ['😅', 'relieved'],
  ['🤣', 'rolling with laughter'],
  ['😍', 'heart eyes'],
  ['😘', 'kiss'],
  ['😎', 'cool'],
  ['🤔', 'thinking'],
  ['🙂', 'slight smile'],
  ['🙃', 'upside down'],
  ['😉', 'wink'],
  ['😴', 'asleep'],
  ['😭', 'sobbing'],
  ['😡', 'angry'],
  ['🥳', 'celebrating'],
  ['😱', 'shocked'],
  ['🤯', 'mind blown'],
  ['🥰', 'in love'],
  ['🤗', 'hugging'],
  ['🙄', 'rolling eyes'],
  ['👎', 'thumbs down'],
  ['👌', 'OK'],
  ['✌️', 'victory'],
  ['🤞', 'fingers crossed'],
  ['👋', 'waving'],
  ['💪', 'strong'],
  ['🤝', 'handshake'],
  ['🫶', 'heart hands'],
  ['💚', 'green heart'],
  ['💔', 'broken heart'],
  ['⭐', 'star'],
  ['✨', 'sparkles'],
  ['☀️', 'sun'],
  ['🌱', 'seedling'],
  ['🌸', 'blossom'],
  ['🍀', 'clover'],
  ['☕', 'coffee'],
  ['🍰', 'cake'],
  ['🎂', 'birthday cake'],
  ['🎁', 'present'],
  ['🏆', 'trophy'],
  ['🚀', 'rocket'],
  ['💡', 'idea'],
  ['📌', 'pin'],
  ['⏰', 'alarm clock'],
  ['❓', 'question'],
  ['❗', 'exclamation'],
  ['❌', 'cross'],
];

const NAMES = new Map(COMMON);

export function isCommon(emoji) {
  return NAMES.has(emoji);
}

export function emojiName(emoji) {
  return NAMES.get(emoji) ?? emoji;
}

/** Returns the emoji above a menu: those used last, then common ones. */
export function quickEmoji(count = 6) {
  return [...new Set([...recentEmoji(), ...COMMON.map(([emoji]) => emoji)])].slice(0, count);
}

/** @returns {string[]} the newest first */
export function recentEmoji() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY));
    return Array.isArray(stored) ? stored.filter(isOneEmoji).slice(0, MAX_RECENT) : [];
  } catch {
    return [];
  }
}

export function rememberEmoji(emoji) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify([...new Set([emoji, ...recentEmoji()])].slice(0, MAX_RECENT)));
  } catch {
    // Without storage only the common ones are offered.
  }
}

/** Forgets the emoji used last when the user signs out, because others may use the device. */
export function clearRecentEmoji() {
  try {
    localStorage.removeItem(STORAGE_KEY);
  } catch {
    // Without storage there is nothing to remove.
  }
}

const PICTURE = /\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\ufe0f?\u20e3/u;

/** Whether a text is exactly one emoji, which is seen as one character, as the server requires. */
export function isOneEmoji(text) {
  if (typeof text !== 'string' || !PICTURE.test(text) || new TextEncoder().encode(text).length > MAX_EMOJI_BYTES)
    return false;
  if (!globalThis.Intl?.Segmenter) return true;
  return [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)].length === 1;
}
