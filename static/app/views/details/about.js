// Picture, name and description of a conversation.
// This file shows them, and changes them.

import { fill, h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { MAX_URL_LENGTH, MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH } from '../../lib/limits.js';
import { mayManage } from '../../lib/rights.js';
import { isBlank } from '../../lib/text.js';
import { ago } from '../../lib/time.js';
import { titleOf } from '../../state/conversations.js';
import { avatar } from '../avatar.js';
import { avatarOf } from '../conversation-row.js';
import { area, field, form } from '../form.js';

export function about({ id, app, conversation }) {
  const { store, actions, client } = app;
  const shown = h('div', { class: 'about' });
  const editor = h('div', { hidden: true });
  const change = h(
    'button',
    {
      type: 'button',
      class: 'icon-button',
      'aria-label': 'Change name, picture or description',
      title: 'Change name, picture or description',
      on: { click: () => edit() },
    },
    icon('edit', 20),
  );
  const element = h('section', { class: 'section' }, h('div', { class: 'section-head top' }, shown, change), editor);
  let shownKey = null;

  function update() {
    const now = conversation();
    const subject = avatarOf(now);
    change.hidden = !mayManage(now) || !editor.hidden;
    if (!mayManage(now)) hide();
    const next = JSON.stringify([titleOf(now), subject.url, now.description, lastSeen(now)]);
    if (next === shownKey) return;
    shownKey = next;
    fill(
      shown,
      avatar(subject, { fileToken: client.connection.fileToken, className: 'large' }),
      h(
        'div',
        { class: 'about-text' },
        h('p', { class: 'about-name', dir: 'auto', textContent: titleOf(now) }),
        now.peer && h('p', { class: 'person-handle', textContent: `@${now.peer.username}` }),
        now.peer && h('p', { class: 'person-handle', textContent: lastSeen(now) }),
      ),
      now.description && h('p', { class: 'about-description', dir: 'auto', textContent: now.description }),
    );
  }

  function lastSeen({ peer, my }) {
    if (!peer || my.blocked) return '';
    const { status, last_seen_at } = store.state.presence.get(peer.id) ?? {};
    if (status === 'online') return 'Online';
    if (status === 'away') return 'Away';
    return last_seen_at ? `Last seen ${ago(last_seen_at)}` : 'Offline';
  }

  function hide() {
    editor.hidden = true;
    editor.replaceChildren();
  }

  function edit() {
    const now = conversation();
    const fields = {
      name: field('Group name', { value: now.name ?? '', autocomplete: 'off' }, { maxLength: MAX_NAME_LENGTH }),
      description: area(
        'Description',
        { value: now.description ?? '', rows: '3', dir: 'auto' },
        { maxLength: MAX_DESCRIPTION_LENGTH },
      ),
      avatar_url: field(
        'Address of a picture',
        { value: now.avatar_url ?? '', type: 'url', autocomplete: 'off' },
        { hint: 'Begins with https://. Leave it empty for none.', maxLength: MAX_URL_LENGTH },
      ),
    };
    const cancel = () => {
      hide();
      update();
      change.focus();
    };
    const save = h('button', { type: 'submit', class: 'button primary', textContent: 'Save' });
    fill(
      editor,
      form({
        fields,
        button: save,
        check: ({ name }) => (isBlank(name) ? ['name', 'Give the group a name.'] : null),
        submit: async (values) => {
          const changed = changes(now, values);
          if (Object.keys(changed).length > 0) await actions.updateConversation(id, changed);
          cancel();
        },
      }),
    );
    const leave = h('button', { type: 'button', class: 'button quiet', textContent: 'Cancel', on: { click: cancel } });
    const choices = h('div', { class: 'dialog-actions' });
    save.before(choices);
    choices.append(leave, save);
    editor.hidden = false;
    change.hidden = true;
    fields.name.input.focus();
  }

  return { element, update };
}

/** Returns only the fields that differ. An empty field becomes null. */
function changes(now, values) {
  const changed = {};
  for (const [name, value] of Object.entries(values)) {
    const text = value.trim() === '' ? null : value.trim();
    if (text !== (now[name] || null)) changed[name] = text;
  }
  return changed;
}
