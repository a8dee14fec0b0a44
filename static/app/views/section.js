// A part of a dialog.
// Lives here: a section with its heading. May not live here: what is in it.

import { h } from '../lib/dom.js';

export function section(title, ...children) {
  return h('section', { class: 'section' }, h('h3', { class: 'section-title', textContent: title }), children);
}
