// A switch whose change is sent to the server.
// This file contains its row. It ignores presses until the server has answered, and keeps the focus meanwhile. It must
// not contain what is switched.

import { h } from '../lib/dom.js';

/**
 * Creates a switch.
 * @param {{label: string, hint?: string, change: (on: boolean) => Promise<unknown>, afterChange: () => void}} options
 *   `afterChange` is called after each change, to show the present value
 * @returns {{element: Element, show: (on: boolean) => void}}
 */
export function switchRow({ label, hint = '', change, afterChange }) {
  let busy = false;
  const input = h('input', {
    type: 'checkbox',
    class: 'switch',
    on: {
      click: (event) => busy && event.preventDefault(),
      change: async () => {
        busy = true;
        await change(input.checked);
        busy = false;
        afterChange();
      },
    },
  });
  const text = h('span', {}, label, hint && h('span', { class: 'field-hint', textContent: hint }));
  return {
    element: h('label', { class: 'switch-row' }, text, input),
    show(on) {
      if (!busy) input.checked = on;
    },
  };
}
