// Emoji to react with.
// Lives here: the common ones with their names, which ones this person used last, and what counts as one emoji.
// May not live here: elements.

const KEY = 'greenroom.emoji';
const KEPT = 8;
/** Bytes the server takes for one emoji. */
const LONGEST = 64;

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

/** The few that are one press away: those used last, filled up with the common ones. */
export function quickEmoji(count = 6) {
  return [...new Set([...recentEmoji(), ...COMMON.map(([emoji]) => emoji)])].slice(0, count);
}

/** @returns {string[]} the newest first */
export function recentEmoji() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(kept) ? kept.filter(isOneEmoji).slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

export function noteEmoji(emoji) {
  try {
    localStorage.setItem(KEY, JSON.stringify([...new Set([emoji, ...recentEmoji()])].slice(0, KEPT)));
  } catch {
    // Without storage the common ones are offered.
  }
}

/** Signing out of a shared computer leaves no habits behind. */
export function forgetEmoji() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Nothing was kept then.
  }
}

const PICTURE = /\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\ufe0f?\u20e3/u;

/** Whether a text is exactly one emoji, as the server wants it: one that a person sees as one. */
export function isOneEmoji(text) {
  if (typeof text !== 'string' || !PICTURE.test(text) || new TextEncoder().encode(text).length > LONGEST) return false;
  if (!globalThis.Intl?.Segmenter) return true;
  return [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)].length === 1;
}
