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
        'header',
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

/**
 * Asks before something that cannot be taken back.
 * @returns {Promise<boolean>}
 */
export function confirmDialog({ title, text, action }) {
  return new Promise((resolve) => {
    let agreed = false;
    openDialog({ title, className: 'dialog-small', onClose: () => resolve(agreed) }, (body, close) => {
      const agree = () => {
        agreed = true;
        close();
      };
      const stay = h('button', { type: 'button', class: 'button quiet', textContent: 'Cancel', on: { click: close } });
      body.append(
        h('p', { class: 'dialog-text', textContent: text }),
        h(
          'div',
          { class: 'dialog-actions' },
          stay,
          h('button', { type: 'button', class: 'button danger', textContent: action, on: { click: agree } }),
        ),
      );
      stay.focus();
    });
  });
}
