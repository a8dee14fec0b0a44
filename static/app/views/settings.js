// The settings of the user's account.
// This file contains the dialog with profile, appearance, password, signed-in devices, and signing out.

import { fill, h, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { MAX_NAME_LENGTH, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from '../lib/limits.js';
import { setTheme, theme } from '../lib/theme.js';
import { isBlank, plural, preview } from '../lib/text.js';
import { ago } from '../lib/time.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { blockedPeople } from './blocked.js';
import { confirmDialog, openDialog } from './dialog.js';
import { field, form } from './form.js';
import { section } from './section.js';
import { switchRow } from './switch.js';
import { errorText } from './texts.js';

export function openSettings(app) {
  if (document.querySelector('dialog[open]')) return;
  const blocked = blockedPeople(app);
  openDialog({ title: 'Settings', onClose: blocked.stop }, (body) => {
    const parts = [
      profile(app),
      appearance(),
      privacy(app),
      blocked.element,
      password(app),
      devices(app),
      signOutSection(app),
    ];
    body.append(...parts);
  });
}

function profile({ store, actions, client }) {
  const { me } = store.state;
  const name = field(
    'Display name',
    { value: me.display_name ?? '', autocomplete: 'name' },
    { hint: 'How others see you.', maxLength: MAX_NAME_LENGTH },
  );
  return section(
    'Profile',
    h(
      'div',
      { class: 'me' },
      avatar(
        { id: me.id, name: nameOf(me) || '?', url: me.avatar_url },
        { fileToken: client.connection.fileToken, className: 'large' },
      ),
      h(
        'div',
        {},
        h('p', { class: 'person-name', textContent: nameOf(me) }),
        h('p', { class: 'person-handle', textContent: `@${me.username}` }),
      ),
    ),
    form({
      fields: { display_name: name },
      button: h('button', { type: 'submit', class: 'button soft', textContent: 'Save name' }),
      check: ({ display_name }) => (isBlank(display_name) ? ['display_name', 'Type a name.'] : null),
      submit: async ({ display_name }) => {
        await actions.rename(display_name.trim());
        return 'Saved.';
      },
    }),
  );
}

function appearance() {
  const choice = (value, label) =>
    h(
      'label',
      { class: 'choice' },
      h('input', {
        type: 'radio',
        name: 'theme',
        value,
        checked: theme() === value,
        on: { change: () => setTheme(value) },
      }),
      h('span', { textContent: label }),
    );
  return section(
    'Appearance',
    h(
      'div',
      { class: 'choices', role: 'radiogroup', 'aria-label': 'Appearance' },
      choice('system', 'Automatic'),
      choice('light', 'Light'),
      choice('dark', 'Dark'),
    ),
  );
}

function privacy({ store, actions }) {
  const problem = h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' } });
  const show = () => receipts.show(store.state.me?.share_read_receipts !== false);
  const receipts = switchRow({
    label: 'Show others what I have read',
    hint: 'When off, you do not see what they have read either.',
    change: async (on) => {
      setText(problem, '');
      await actions.shareReceipts(on).catch((error) => setText(problem, errorText(error)));
    },
    settled: show,
  });
  show();
  return section('Privacy', receipts.element, problem);
}

function password({ actions }) {
  const fields = {
    current_password: field('Current password', { type: 'password', autocomplete: 'current-password' }),
    new_password: field(
      'New password',
      { type: 'password', autocomplete: 'new-password' },
      {
        hint: `At least ${MIN_PASSWORD_LENGTH} characters. Other devices are signed out.`,
        maxLength: MAX_PASSWORD_LENGTH,
      },
    ),
  };
  return section(
    'Password',
    form({
      fields,
      button: h('button', { type: 'submit', class: 'button soft', textContent: 'Change password' }),
      check: (values) => {
        if (values.current_password === '') return ['current_password', 'Type your present password.'];
        return [...values.new_password].length < MIN_PASSWORD_LENGTH
          ? ['new_password', `Use at least ${MIN_PASSWORD_LENGTH} characters.`]
          : null;
      },
      submit: async (values) => {
        await actions.changePassword(values.current_password, values.new_password);
        for (const { input } of Object.values(fields)) input.value = '';
        return 'Your password was changed.';
      },
    }),
  );
}

function devices({ actions }) {
  const list = h('ul', { class: 'devices', role: 'list', 'aria-label': 'Signed-in devices' });
  const problem = h('p', { class: 'form-status', role: 'alert', data: { kind: 'error' } });
  const load = async () => {
    try {
      const items = await actions.sessions();
      fill(
        list,
        items.map((login) => device(login, end)),
      );
    } catch (error) {
      setText(problem, errorText(error));
    }
  };
  const end = async (login) => {
    setText(problem, '');
    try {
      await actions.revokeSession(login.id);
      await load();
    } catch (error) {
      setText(problem, errorText(error));
    }
  };
  load();
  return section('Signed-in devices', list, problem);
}

function device(login, end) {
  const name = deviceName(login.device);
  return h(
    'li',
    { class: 'device' },
    h(
      'span',
      { class: 'person-text' },
      h('span', { class: 'person-name', textContent: name, title: login.device }),
      h('span', {
        class: 'person-handle',
        textContent: login.current ? 'This device' : `${login.ip} · last used ${ago(login.last_used_at)}`,
      }),
    ),
    !login.current &&
      h('button', {
        type: 'button',
        class: 'button quiet',
        textContent: 'End',
        'aria-label': `End the session of ${name}`,
        on: { click: () => end(login) },
      }),
  );
}

/** Returns browser and system from the browser's user agent text. */
function deviceName(agent) {
  if (!agent) return 'Unknown device';
  const browser = [
    ['Edg/', 'Edge'],
    ['OPR/', 'Opera'],
    ['Firefox/', 'Firefox'],
    ['Chrome/', 'Chrome'],
    ['Safari/', 'Safari'],
  ].find(([mark]) => agent.includes(mark));
  const system = [
    ['Android', 'Android'],
    ['iPhone', 'iPhone'],
    ['iPad', 'iPad'],
    ['Windows', 'Windows'],
    ['Mac OS', 'Mac'],
    ['Linux', 'Linux'],
  ].find(([mark]) => agent.includes(mark));
  if (browser && system) return `${browser[1]} on ${system[1]}`;
  return agent.length > 40 ? `${preview(agent, 40)}…` : agent;
}

function signOutSection({ actions }) {
  const leave = async () => {
    const unsentCount = actions.countUnsent();
    const sure =
      unsentCount === 0 ||
      (await confirmDialog({
        title: 'Sign out?',
        text: `${plural(unsentCount, 'message')} not sent yet will be thrown away.`,
        action: 'Sign out anyway',
      }));
    if (sure) await actions.signOut();
  };
  return h(
    'div',
    { class: 'section-foot' },
    h('button', { type: 'button', class: 'button danger-quiet', on: { click: leave } }, icon('leave', 18), 'Sign out'),
  );
}
