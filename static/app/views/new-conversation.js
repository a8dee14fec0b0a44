// Starting a conversation.
// This file contains the dialog for writing to one user or creating a group. It must not contain the search
// (people-picker.js).

import { h } from '../lib/dom.js';
import { MAX_NAME_LENGTH } from '../lib/limits.js';
import { isBlank } from '../lib/text.js';
import { openDialog } from './dialog.js';
import { field, form } from './form.js';
import { peoplePicker } from './people-picker.js';
import { focusRoom } from './room.js';
import { errorText } from './texts.js';

export function openNewConversation(app) {
  if (document.querySelector('dialog[open]')) return;
  openDialog({ title: 'New conversation' }, (body, close) => {
    const { actions } = app;
    let chosen = [];
    const problem = h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' } });

    /** Closes the dialog. A change of the route has closed it already, but not if the conversation was open before. */
    const finish = () => {
      close();
      focusRoom();
    };
    const start = async (user) => {
      problem.textContent = '';
      try {
        await actions.startDirect(user.id);
        finish();
      } catch (error) {
        problem.textContent = errorText(error);
      }
    };
    const picker = peoplePicker(app, { multiple: false, onChoose: start, onChange: (users) => (chosen = users) });

    const name = field('Group name', { autocomplete: 'off' }, { maxLength: MAX_NAME_LENGTH });
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
        finish();
      },
    });
    group.hidden = true;

    const toggle = h('input', {
      type: 'checkbox',
      class: 'switch',
      on: {
        change: () => {
          group.hidden = !toggle.checked;
          picker.setMultiple(toggle.checked);
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
