// Mentions in a text.
// This file finds `@name` in a message and in the text box, by the rules of the server. The server decides who is
// mentioned (`mentions` of the message).

import { addressRanges } from './links.js';

/** A mention. The characters that can stand before the @ of an e-mail address cannot stand before it. */
const MENTION = /(?<![A-Za-z0-9_.+-])[@＠]([A-Za-z0-9_.-]+)/g;
/** The most characters in a username. */
const MAX_USERNAME_LENGTH = 32;

/**
 * Returns the mentions in a text, in order.
 * @param {string} text
 * @param {Map<string, string>} names the ids of the mentioned users by username in lower case
 * @param {boolean} everybody whether the message mentions all participants
 * @returns {{start: number, end: number, id: string}[]} `id`: of the mentioned user, or `all`
 */
export function mentionRanges(text, names, everybody) {
  if (!/[@＠]/.test(text)) return [];
  const excluded = [...addressRanges(text), ...codeRanges(text)];
  const ranges = [];
  for (const { index, 1: word } of text.matchAll(MENTION)) {
    if (excluded.some(({ start, end }) => start <= index && index < end)) continue;
    const name = findName(word, names, everybody);
    if (name) ranges.push({ start: index, end: index + 1 + name.length, id: name.id });
  }
  return ranges;
}

/**
 * Returns the ranges of code: from a run of backticks to the next run of the same length. Code between three or more
 * backticks can contain empty lines; between fewer it cannot. Backticks without a closing run are no code.
 */
function codeRanges(text) {
  const runs = [...text.matchAll(/`+/g)].map(({ index, 0: run }) => ({ start: index, end: index + run.length }));
  const length = ({ start, end }) => end - start;
  const ranges = [];
  for (let at = 0; at < runs.length; at += 1) {
    let next = at + 1;
    while (next < runs.length && length(runs[next]) !== length(runs[at])) next += 1;
    if (next === runs.length) continue;
    const inside = text.slice(runs[at].end, runs[next].start);
    if (length(runs[at]) < 3 && /\n[^\S\n]*\n/.test(inside)) continue;
    ranges.push({ start: runs[at].start, end: runs[next].end });
    at = next;
  }
  return ranges;
}

/** Returns the longest matching name. A name can end before a dot or dash (`@ada-like` mentions `ada`). */
function findName(word, names, everybody) {
  for (let length = Math.min(word.length, MAX_USERNAME_LENGTH); length > 0; length -= 1) {
    const ends = length === word.length || '.-'.includes(word[length]);
    if (!ends || '.-'.includes(word[length - 1])) continue;
    const name = word.slice(0, length).toLowerCase();
    if (names.has(name)) return { id: names.get(name), length };
    if (name === 'all' && everybody) return { id: 'all', length };
  }
  return null;
}

/** Returns the start and the name of the mention that is being typed at the cursor; null if there is none. */
export function mentionAtCursor(text, cursor) {
  const before = text.slice(0, cursor);
  const match = /(?<![A-Za-z0-9_.+-])[@＠]([\p{L}\p{N}\p{M}_.-]{0,32})$/u.exec(before);
  if (!match || addressRanges(before).some(({ start, end }) => start <= match.index && match.index < end)) return null;
  return { start: match.index, query: match[1].toLocaleLowerCase() };
}

/**
 * Returns the users whose names match `query`, the best match first. `all` comes last, so that it is not chosen by
 * mistake.
 * @param {{id: string, username: string, display_name: string}[]} users
 */
export function mentionCandidates(users, query, limit = 8) {
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
    .slice(0, limit)
    .map(({ user }) => user);
}
