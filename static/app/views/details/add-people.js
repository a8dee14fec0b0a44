// Adding users to a group.
// This file contains the button and the search that it opens. It must not contain the search itself (people-picker.js).

import { fill, h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { peoplePicker } from '../people-picker.js';
import { toastOnError } from '../toast.js';

export function addPeopleForm(id, app) {
  const { store, actions } = app;
  const element = h('div', { class: 'adding', hidden: true });
  const button = h(
    'button',
    { type: 'button', class: 'button soft', on: { click: () => show() } },
    icon('plus', 18),
    'Add people',
  );

  function show() {
    let chosen = [];
    const present = new Set((store.state.members.get(id)?.items ?? []).map(({ user }) => user.id));
    const add = h('button', { type: 'button', class: 'button primary', textContent: 'Add', disabled: true });
    const cancel = h('button', { type: 'button', class: 'button quiet', textContent: 'Cancel' });
    const picker = peoplePicker(app, {
      multiple: true,
      exclude: present,
      onChange: (users) => {
        chosen = users;
        add.disabled = users.length === 0;
      },
    });
    cancel.addEventListener('click', () => {
      hide();
      button.focus();
    });
    add.addEventListener('click', async () => {
      add.disabled = true;
      const ids = chosen.map((user) => user.id);
      if (!(await toastOnError(actions.addMembers(id, ids)))) {
        add.disabled = false;
        return;
      }
      hide();
      button.focus();
    });
    fill(element, picker.element, h('div', { class: 'dialog-actions' }, cancel, add));
    element.hidden = false;
    button.disabled = true;
    picker.focus();
  }

  function hide() {
    element.hidden = true;
    element.replaceChildren();
    button.disabled = false;
  }

  return {
    element,
    button,
    /** Hides the button and the search if the user may not add members. */
    allow(allowed) {
      button.hidden = !allowed;
      if (!allowed) hide();
    },
  };
}
