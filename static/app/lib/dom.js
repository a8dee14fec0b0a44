// Creating DOM elements.
// This file contains `h`, which creates an element, and small helpers. It must not contain markup as text: what users
// write is added as text nodes only, and the server's Content-Security-Policy forbids inline styles and scripts.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Creates an element.
 * @param {string} tag
 * @param {object} [props] `class`, `on` ({event: listener}), `data` (dataset), properties that have no attribute
 *   (`value`,
 *   `disabled`, `checked`, `textContent` and so on), and attributes; null, undefined and false are left out
 * @param {...(Node|string|null|false|undefined)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name === 'on')
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

const PROPERTIES = new Set([
  'value',
  'disabled',
  'checked',
  'hidden',
  'textContent',
  'htmlFor',
  'tabIndex',
  'required',
]);

export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child);
  }
}

/** Replaces all children of an element. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** Sets the text only if it differs, so that a screen reader does not read it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets or removes an attribute, only if it differs. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Creates an icon from path data on a grid of 24 by 24. It is decoration, so the element around it needs a name. */
export function svg(paths, { size = 20, className = 'icon' } = {}) {
  const root = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({
    viewBox: '0 0 24 24',
    width: size,
    height: size,
    class: className,
    'aria-hidden': 'true',
    focusable: 'false',
  })) {
    root.setAttribute(name, value);
  }
  for (const d of paths) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    root.append(path);
  }
  return root;
}

let counter = 0;

/** Returns an id, with which a label or description can refer to an element. */
export function uniqueId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}
