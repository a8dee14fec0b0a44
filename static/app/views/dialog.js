// Dialogs.
// This file contains the frame of every dialog: heading, close button, and closing. The browser's modal dialog keeps
// the focus inside, closes on Escape and gives the focus back. It must not contain the content of a dialog.

import { h, uniqueId } from '../lib/dom.js';
import { icon } from '../lib/icons.js';

/**
 * Opens a modal dialog.
 * @param {{title: string, className?: string, onClose?: () => void}} options
 * @param {(body: HTMLElement, close: () => void) => void} build fills the body
 * @returns {() => void} a function that closes the dialog
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

/** Closes all open dialogs and popups, as when the route changes. The focus goes back to the element that had it. */
export function closeDialogs() {
  for (const dialog of [...document.querySelectorAll('dialog[open]')].reverse()) dialog.close();
}

/**
 * Asks the user to choose, before an action that cannot be undone.
 * @param {{title: string, text: string, choices: ({value: string, label: string, danger?: boolean}|false)[]}} question
 * @returns {Promise<string|null>} the chosen value; null if the user cancels
 */
export function askDialog({ title, text, choices }) {
  return new Promise((resolve) => {
    let chosen = null;
    openDialog({ title, className: 'dialog-small', onClose: () => resolve(chosen) }, (body, close) => {
      const choose = (value) => {
        chosen = value;
        close();
      };
      const cancel = h('button', {
        type: 'button',
        class: 'button quiet',
        textContent: 'Cancel',
        on: { click: close },
      });
      body.append(
        h('p', { class: 'dialog-text', textContent: text }),
        h(
          'div',
          { class: 'dialog-actions' },
          cancel,
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
      cancel.focus();
    });
  });
}

/** Asks the user to confirm an action. @returns {Promise<boolean>} whether the user confirmed */
export async function confirmDialog({ title, text, action }) {
  return (await askDialog({ title, text, choices: [{ value: 'yes', label: action, danger: true }] })) === 'yes';
}
