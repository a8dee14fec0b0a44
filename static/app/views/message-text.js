// The text of a message.
// This file creates DOM elements for text, links and mentions, and for content without text. It must not contain
// markup: what users write is added as text nodes only.

import { h } from '../lib/dom.js';
import { addressRanges, hrefOf } from '../lib/links.js';
import { mentionRanges } from '../lib/mentions.js';

/** Returns the nodes of the body of a message. */
export function bodyNodes(item, state) {
  if (item.deleted_at) return h('span', { class: 'message-text', textContent: 'Message deleted' });
  return [
    structuredContent(item),
    item.content && h('span', { class: 'message-text', dir: 'auto' }, textNodes(item, state)),
    !item.content &&
      !DATA_LINES[item.type] &&
      h('span', {
        class: 'message-text aside',
        textContent: 'This message has content that this page cannot show yet.',
      }),
  ];
}

/** Returns nodes for plain text, links and mentions. */
function textNodes({ content, sender_id, mentions = [], mentions_all = false }, { people, me }) {
  const names = new Map();
  for (const id of mentions) {
    const user = id === me?.id ? me : people.get(id);
    if (user) names.set(user.username.toLowerCase(), id);
  }
  const nodes = [];
  let end = 0;
  const ranges = [...addressRanges(content), ...mentionRanges(content, names, mentions_all)];
  for (const range of ranges.sort((a, b) => a.start - b.start)) {
    const text = content.slice(range.start, range.end);
    nodes.push(content.slice(end, range.start), range.id ? mentionNode(text, range.id) : link(text));
    end = range.end;
  }
  return [...nodes, content.slice(end)].filter((node) => node !== '');

  function mentionNode(text, id) {
    const own = id === me?.id || (id === 'all' && sender_id !== me?.id);
    return h('span', { class: own ? 'mention own-mention' : 'mention', textContent: text });
  }
}

function link(text) {
  const href = hrefOf(text);
  if (!href) return text;
  return h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow', textContent: text });
}

/** The lines for the types with `data`. Only fields that are texts are shown. */
const DATA_LINES = {
  location: ({ label, lat, lon }) => ['Place', label, `${lat}, ${lon}`],
  contact: ({ name, phone, email }) => ['Contact', name, phone, email],
  sticker: ({ id }) => ['Sticker', id],
};

function structuredContent({ type, data }) {
  const lines = data && DATA_LINES[type]?.(data).filter((line) => typeof line === 'string' && line !== '');
  if (!lines) return null;
  const [kind, ...rest] = lines;
  return h(
    'span',
    { class: 'typed' },
    h('span', { class: 'typed-kind', textContent: kind }),
    rest.map((line) => h('span', { dir: 'auto', textContent: line })),
  );
}
