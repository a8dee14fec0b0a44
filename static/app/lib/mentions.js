// Mentions in a text.
// Lives here: finding `@name` in what was written and in what is being written, by the server's rules. May not live here:
// elements, or who is mentioned (the server says that in `mentions`).

/** A name begins after anything but a word character; what ends a sentence is not part of it. */
const MENTION = /(?<![\p{L}\p{N}\p{M}_])@([A-Za-z0-9_.-]+)/gu;

/**
 * Cuts a text into plain parts and mentions.
 * @param {string} text
 * @param {Map<string, string>} names id by lower-cased username, of those the message mentions
 * @param {boolean} everybody whether the message mentions more people than it names
 * @returns {{text: string, id: string|null}[]} `id` of the mentioned, `all` for everybody, null for plain text
 */
export function mentionParts(text, names, everybody) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(MENTION)) {
    const found = longest(match[1], names, everybody);
    if (!found) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), id: null });
    end = match.index + 1 + found.length;
    parts.push({ text: text.slice(match.index, end), id: found.id });
  }
  if (end < text.length) parts.push({ text: text.slice(end), id: null });
  return parts;
}

/** The longest name that is meant; one may end before a dot or dash where nobody is called so (`@ada-like` means `ada`). */
function longest(word, names, everybody) {
  for (let length = word.length; length > 0; length -= 1) {
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
  const match = /(?:^|[^\p{L}\p{N}\p{M}_])@([\p{L}\p{N}_.-]{0,32})$/u.exec(text.slice(0, cursor));
  return match && { start: cursor - match[1].length - 1, query: match[1].toLocaleLowerCase() };
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
