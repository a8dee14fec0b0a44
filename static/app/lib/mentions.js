// Mentions in a text.
// Lives here: finding `@name` in what was written and in what is being written, by the server's rules. May not live here:
// elements, or who is mentioned (the server says that in `mentions`).

import { addressRanges } from './links.js';

/** Whatever may stand before the @ of an e-mail address may not stand before a mention. */
const MENTION = /(?<![A-Za-z0-9_.+-])[@＠]([A-Za-z0-9_.-]+)/g;
/** The longest username. */
const LONGEST = 32;

/**
 * Where a text mentions somebody, in order.
 * @param {string} text
 * @param {Map<string, string>} names id by lower-cased username, of those the message mentions
 * @param {boolean} everybody whether the message mentions everybody
 * @returns {{start: number, end: number, id: string}[]} `id` of the mentioned, `all` for everybody
 */
export function mentionRanges(text, names, everybody) {
  if (!/[@＠]/.test(text)) return [];
  const taken = [...addressRanges(text), ...codeRanges(text)];
  const found = [];
  for (const { index, 1: word } of text.matchAll(MENTION)) {
    if (taken.some(({ start, end }) => start <= index && index < end)) continue;
    const meant = longest(word, names, everybody);
    if (meant) found.push({ start: index, end: index + 1 + meant.length, id: meant.id });
  }
  return found;
}

/**
 * Where code stands: between a run of backticks and the next run of as many. Of three or more it is a fence, which reaches
 * over empty lines; a shorter one does not. What is not closed is no code.
 */
function codeRanges(text) {
  const runs = [...text.matchAll(/`+/g)].map(({ index, 0: run }) => ({ start: index, end: index + run.length }));
  const length = ({ start, end }) => end - start;
  const found = [];
  for (let at = 0; at < runs.length; at += 1) {
    let next = at + 1;
    while (next < runs.length && length(runs[next]) !== length(runs[at])) next += 1;
    if (next === runs.length) continue;
    const inside = text.slice(runs[at].end, runs[next].start);
    if (length(runs[at]) < 3 && /\n[^\S\n]*\n/.test(inside)) continue;
    found.push({ start: runs[at].start, end: runs[next].end });
    at = next;
  }
  return found;
}

/** The longest name that is meant; one may end before a dot or dash where nobody is called so (`@ada-like` means `ada`). */
function longest(word, names, everybody) {
  for (let length = Math.min(word.length, LONGEST); length > 0; length -= 1) {
    const ends = length === word.length || '.-'.includes(word[length]);
    if (!ends || '.-'.includes(word[length - 1])) continue;
    const name = word.slice(0, length).toLowerCase();
    if (names.has(name)) return { id: names.get(name), length };
    if (name === 'all' && everybody) return { id: 'all', length };
  }
  return null;
}

/** The mention being typed at the cursor: where it begins and what of the name is there; null outside of one. */
export function mentionAtCursor(text, cursor) {
  const written = text.slice(0, cursor);
  const match = /(?<![A-Za-z0-9_.+-])[@＠]([\p{L}\p{N}\p{M}_.-]{0,32})$/u.exec(written);
  if (!match || addressRanges(written).some(({ start, end }) => start <= match.index && match.index < end)) return null;
  return { start: match.index, query: match[1].toLocaleLowerCase() };
}

/**
 * Whom somebody may mean, the best first; everybody comes last, so that nobody calls them by accident.
 * @param {{id: string, username: string, display_name: string}[]} users
 */
export function mentionCandidates(users, query, most = 8) {
  const rank = ({ id, username, display_name }) => {
    if (id === 'all') return username.startsWith(query) ? 3 : null;
    const name = (display_name ?? '').toLocaleLowerCase();
    if (username.toLowerCase().startsWith(query)) return 0;
    if (name.startsWith(query)) return 1;
    return name.split(/\s+/).some((word) => word.startsWith(query)) ? 2 : null;
  };
  return users
    .map((user) => ({ user, at: rank(user) }))
    .filter(({ at }) => at !== null)
    .sort((a, b) => a.at - b.at || a.user.username.localeCompare(b.user.username))
    .slice(0, most)
    .map(({ user }) => user);
}
