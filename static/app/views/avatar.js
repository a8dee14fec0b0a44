// Faces.
// Lives here: a user's or group's picture, or initials in a colour that stays theirs; the dot that tells presence.
// May not live here: names in text.

import { h, setAttribute, setText } from '../lib/dom.js';
import { bucket, initials } from '../lib/text.js';
import { icon } from '../lib/icons.js';

const TINTS = 8;

/**
 * @param {{id: string, name: string, url?: string|null, group?: boolean}} who
 * @param {{fileToken?: string|null, className?: string}} [options]
 */
export function avatar({ id, name, url, group = false }, { fileToken = null, className = '' } = {}) {
  const face = h('span', { class: `avatar tint-${bucket(id, TINTS)} ${className}`, 'aria-hidden': 'true' });
  const stand = () => face.replaceChildren(group ? icon('people', 22) : initials(name));
  if (url) {
    const image = h('img', {
      src: source(url, fileToken),
      alt: '',
      loading: 'lazy',
      referrerpolicy: 'no-referrer',
      on: { error: stand },
    });
    face.append(image);
  } else {
    stand();
  }
  return face;
}

/** Our own files open with the file token; other pictures come from where their owner keeps them. */
function source(url, fileToken) {
  if (!url.startsWith('/api/')) return url;
  return fileToken ? `${url}?t=${encodeURIComponent(fileToken)}` : url;
}

const LABELS = { online: 'Online', away: 'Away', offline: 'Offline' };

/** A dot with its meaning for those who cannot see it. */
export function presenceDot() {
  return h('span', { class: 'presence' }, h('span', { class: 'sr-only' }));
}

export function updatePresenceDot(dot, status = 'offline') {
  setAttribute(dot, 'data-status', status);
  setText(dot.firstChild, LABELS[status] ?? LABELS.offline);
}
