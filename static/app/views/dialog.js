// Dialogs.
// Lives here: the frame of every dialog — heading, close button, and putting it away. The browser's own modal dialog
// keeps the focus inside, closes on Escape and gives the focus back. May not live here: what a dialog is about.

import { h, uniqueId } from '../lib/dom.js';
import { icon } from '../lib/icons.js';

/**
 * Opens a modal dialog.
 * @param {{title: string, className?: string, onClose?: () => void}} options
 * @param {(body: HTMLElement, close: () => void) => void} build fills the body
 * @returns {() => void} closes it
 */
export function openDialog({ title, className = '', onClose = () => {} }, build) {
  const titleId = uniqueId('dialog');
  const body = h('div', { class: 'dialog-body' });
  const close = () => dialog.close();
  const dialog = h(
    'dialog',
    {
      class: `dialog ${className}`,
      'aria-labelledby': titleId,
      on: {
        close: () => {
          dialog.remove();
          onClose();
        },
        mousedown: (event) => event.target === dialog && close(),
      },
    },
    h(
      'div',
      { class: 'dialog-frame' },
      h(
        'div',
        { class: 'dialog-head' },
        h('h2', { id: titleId, textContent: title }),
        h(
          'button',
          { type: 'button', class: 'icon-button', 'aria-label': 'Close', on: { click: close } },
          icon('close'),
        ),
      ),
      body,
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  build(body, close);
  return close;
}

/** Closes whatever is open over the page, as when the page changes; the focus goes back to where it was. */
export function closeDialogs() {
  for (const dialog of [...document.querySelectorAll('dialog[open]')].reverse()) dialog.close();
}

/**
 * Asks before something that cannot be taken back.
 * @param {{title: string, text: string, choices: ({value: string, label: string, danger?: boolean}|false)[]}} question
 * @returns {Promise<string|null>} the value chosen, null for none
 */
export function askDialog({ title, text, choices }) {
  return new Promise((resolve) => {
    let chosen = null;
    openDialog({ title, className: 'dialog-small', onClose: () => resolve(chosen) }, (body, close) => {
      const choose = (value) => {
        chosen = value;
        close();
      };
      const stay = h('button', { type: 'button', class: 'button quiet', textContent: 'Cancel', on: { click: close } });
      body.append(
        h('p', { class: 'dialog-text', textContent: text }),
        h(
          'div',
          { class: 'dialog-actions' },
          stay,
          choices.filter(Boolean).map(({ value, label, danger }) =>
            h('button', {
              type: 'button',
              class: `button ${danger ? 'danger' : 'soft'}`,
              textContent: label,
              on: { click: () => choose(value) },
            }),
          ),
        ),
      );
      stay.focus();
    });
  });
}

/** @returns {Promise<boolean>} */
export async function confirmDialog({ title, text, action }) {
  return (await askDialog({ title, text, choices: [{ value: 'yes', label: action, danger: true }] })) === 'yes';
}
