// A switch that asks the server.
// Lives here: its row, and that it waits for one answer before it takes the next press; it keeps the focus meanwhile.
// May not live here: what is switched.

import { h } from '../lib/dom.js';

/**
 * @param {{label: string, hint?: string, change: (on: boolean) => Promise<unknown>, settled: () => void}} options
 *   `settled` is called after each change, to show how things stand
 * @returns {{element: Element, show: (on: boolean) => void}}
 */
export function switchRow({ label, hint = '', change, settled }) {
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
        settled();
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
