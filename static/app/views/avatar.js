// Avatars and presence.
// This file shows the picture of a user or group, or initials in a colour that is always the same, and the dot for
// presence. It must not contain names in text.

import { h, setAttribute, setText } from '../lib/dom.js';
import { stableIndex, initials } from '../lib/text.js';
import { icon } from '../lib/icons.js';

const TINTS = 8;

/**
 * Creates the avatar of a user or group.
 * @param {{id: string, name: string, url?: string|null, group?: boolean}} subject
 * @param {{fileToken?: string|null, className?: string}} [options]
 */
export function avatar({ id, name, url, group = false }, { fileToken = null, className = '' } = {}) {
  const element = h('span', { class: `avatar tint-${stableIndex(id, TINTS)} ${className}`, 'aria-hidden': 'true' });
  const showInitials = () => element.replaceChildren(group ? icon('people', 22) : initials(name));
  if (url) {
    const image = h('img', {
      src: source(url, fileToken),
      alt: '',
      loading: 'lazy',
      referrerpolicy: 'no-referrer',
      on: { error: showInitials },
    });
    element.append(image);
  } else {
    showInitials();
  }
  return element;
}

/** Returns the address of a picture. Files of this server need the file token; other pictures are on other servers. */
function source(url, fileToken) {
  if (!url.startsWith('/api/')) return url;
  return fileToken ? `${url}?t=${encodeURIComponent(fileToken)}` : url;
}

const LABELS = { online: 'Online', away: 'Away', offline: 'Offline' };

/** Creates a dot, with a text for screen readers. */
export function presenceDot() {
  return h('span', { class: 'presence' }, h('span', { class: 'sr-only' }));
}

export function updatePresenceDot(dot, status = 'offline') {
  setAttribute(dot, 'data-status', status);
  setText(dot.firstChild, LABELS[status] ?? LABELS.offline);
}
