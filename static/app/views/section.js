// A part of a dialog.
// This file contains a section with its heading.

import { h } from '../lib/dom.js';

export function section(title, ...children) {
  return h('section', { class: 'section' }, h('h3', { class: 'section-title', textContent: title }), children);
}
