// The icons.
// Lives here: path data, drawn for this project on a 24 by 24 grid, stroked. May not live here: where they are used.

import { svg } from './dom.js';

const PATHS = {
  back: ['M15 5l-7 7 7 7'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  checks: ['M2.5 12.5L7 17l9-9.5', 'M11.5 15.8l1.2 1.2 9-9.5'],
  clock: ['M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z', 'M12 8v4.2l2.6 1.8'],
  alert: ['M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z', 'M12 8v4.5', 'M12 15.8v.2'],
  close: ['M6 6l12 12', 'M18 6L6 18'],
  compose: [
    'M12 5H7a2 2 0 0 0-2 2v10a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-5',
    'M10.5 13.5l.6-2.7L18.4 3.5l2.1 2.1-7.3 7.3z',
  ],
  down: ['M12 5v13', 'M6.5 12.5L12 18l5.5-5.5'],
  eye: [
    'M2.8 12S6.2 5.8 12 5.8 21.2 12 21.2 12 17.8 18.2 12 18.2 2.8 12 2.8 12z',
    'M12 9.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z',
  ],
  leaf: ['M5 19c0-9 5-14 15-14 0 9.5-4.5 14-11 14-1.7 0-3-.6-4-1.6', 'M5 19c2.5-5 5.5-7.6 9.5-9.5'],
  leave: ['M10 5H6.5A1.5 1.5 0 0 0 5 6.5v11A1.5 1.5 0 0 0 6.5 19H10', 'M14 8l4.5 4L14 16', 'M18 12H9.5'],
  people: [
    'M9 5.5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z',
    'M3.5 19c.3-3.2 2.4-5 5.5-5s5.2 1.8 5.5 5',
    'M15.5 6a2.6 2.6 0 0 1 0 5.2',
    'M17 14.3c2.1.5 3.3 2.1 3.5 4.7',
  ],
  plus: ['M12 5.5v13', 'M5.5 12h13'],
  reply: ['M9.5 6.5L4.5 11.5l5 5', 'M5 11.5h8.5c3.5 0 5.5 2 5.5 6'],
  search: ['M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12z', 'M15.5 15.5L20 20'],
  send: ['M4.5 12L4 4.5 20.5 12 4 19.5z', 'M4.5 12H13'],
  settings: [
    'M5 7.5h8',
    'M17 7.5h2',
    'M15 5.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
    'M5 16.5h2',
    'M11 16.5h8',
    'M9 14.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
  ],
};

/** @param {keyof typeof PATHS} name */
export function icon(name, size = 20) {
  return svg(PATHS[name], { size, className: `icon icon-${name}` });
}
