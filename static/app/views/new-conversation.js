// Starting a conversation.
// Lives here: the dialog for writing to one person or making a group. May not live here: the search (people-picker.js).

import { h } from '../lib/dom.js';
import { LONGEST_NAME } from '../lib/limits.js';
import { isBlank } from '../lib/text.js';
import { openDialog } from './dialog.js';
import { field, form } from './form.js';
import { peoplePicker } from './people-picker.js';
import { focusRoom } from './room.js';
import { sentence } from './words.js';

export function openNewConversation(app) {
  if (document.querySelector('dialog[open]')) return;
  openDialog({ title: 'New conversation' }, (body, close) => {
    const { actions } = app;
    let chosen = [];
    const problem = h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' } });

    /** A room that was open already is behind the dialog; another one has closed it by now. */
    const arrive = () => {
      close();
      focusRoom();
    };
    const start = async (user) => {
      problem.textContent = '';
      try {
        await actions.startDirect(user.id);
        arrive();
      } catch (error) {
        problem.textContent = sentence(error);
      }
    };
    const picker = peoplePicker(app, { several: false, onChoose: start, onChange: (users) => (chosen = users) });

    const name = field('Group name', { autocomplete: 'off' }, { most: LONGEST_NAME });
    const group = form({
      className: 'group-form',
      fields: { name },
      button: h('button', { type: 'submit', class: 'button primary wide', textContent: 'Create group' }),
      check: (values) => (isBlank(values.name) ? ['name', 'Give the group a name.'] : null),
      submit: async (values) => {
        await actions.createGroup(
          values.name.trim(),
          chosen.map(({ id }) => id),
        );
        arrive();
      },
    });
    group.hidden = true;

    const toggle = h('input', {
      type: 'checkbox',
      class: 'switch',
      on: {
        change: () => {
          group.hidden = !toggle.checked;
          picker.setSeveral(toggle.checked);
          picker.focus();
        },
      },
    });

    body.append(
      h('label', { class: 'switch-row' }, h('span', {}, 'Make a group'), toggle),
      picker.element,
      problem,
      group,
    );
    picker.focus();
  });
}
