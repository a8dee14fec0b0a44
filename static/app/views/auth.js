// The page for signing in and signing up.
// This file contains the two forms and the page around them. It must not contain tokens (the SDK stores those).

import { fill, h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { MAX_NAME_LENGTH, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from '../lib/limits.js';
import { isBlank } from '../lib/text.js';
import { to } from '../router.js';
import { field, form } from './form.js';
import { signedOutText } from './texts.js';

const USERNAME = /^[A-Za-z0-9_.-]{3,32}$/;

export function mountAuth(root, { router, actions, notice = null }) {
  let note = signedOutText(notice);
  const card = h('div', { class: 'auth-card' });
  const show = () => {
    const typed = [...card.querySelectorAll('input')].map(({ autocomplete, value }) => [
      autocomplete.replace(/^(new|current)-/, ''),
      value,
    ]);
    const signUp = router.route.name === 'sign-up';
    fill(
      card,
      brand(),
      note && h('p', { class: 'auth-notice', role: 'status', textContent: note }),
      ...(signUp ? signUpView(actions) : signInView(actions)),
    );
    note = null;
    restoreInput(card, new Map(typed));
    card.querySelector('input').focus();
  };
  root.append(
    h(
      'main',
      { class: 'auth-page' },
      card,
      h('p', { class: 'auth-foot', textContent: 'A quiet place to talk, on a server of your own.' }),
    ),
  );
  show();
  return router.onChange(show);
}

/** Keeps the input when the user changes from one form to the other. */
function restoreInput(card, typed) {
  for (const input of card.querySelectorAll('input')) {
    input.value = typed.get(input.autocomplete.replace(/^(new|current)-/, '')) ?? '';
  }
}

function brand() {
  return h('p', { class: 'brand' }, h('span', { class: 'brand-mark' }, icon('leaf', 26)), 'Greenroom');
}

function signInView(actions) {
  const fields = {
    username: field(
      'Username',
      { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true },
      { hint: 'Or your email address.' },
    ),
    password: field(
      'Password',
      { type: 'password', autocomplete: 'current-password', required: true },
      { reveal: true },
    ),
  };
  return [
    h('h1', { textContent: 'Welcome back' }),
    form({
      fields,
      button: h('button', { type: 'submit', class: 'button primary wide', textContent: 'Sign in' }),
      check: ({ username, password }) => {
        if (!username.trim()) return ['username', 'Type your username or email address.'];
        return password ? null : ['password', 'Type your password.'];
      },
      submit: async ({ username, password }) => void (await actions.login({ login: username.trim(), password })),
    }),
    h('p', { class: 'auth-switch' }, 'New here? ', h('a', { href: to.signUp(), textContent: 'Create account' })),
  ];
}

function signUpView(actions) {
  const fields = {
    username: field(
      'Username',
      { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true },
      { hint: 'Others find you by it. Letters, digits, and _ . -' },
    ),
    display_name: field(
      'Display name',
      { autocomplete: 'name' },
      { hint: 'How your name is shown. You can change it later.', maxLength: MAX_NAME_LENGTH },
    ),
    password: field(
      'Password',
      { type: 'password', autocomplete: 'new-password', required: true },
      { hint: `At least ${MIN_PASSWORD_LENGTH} characters.`, reveal: true, maxLength: MAX_PASSWORD_LENGTH },
    ),
  };
  return [
    h('h1', { textContent: 'Make yourself at home' }),
    form({
      fields,
      button: h('button', { type: 'submit', class: 'button primary wide', textContent: 'Create account' }),
      check: checkSignUp,
      submit: async ({ username, display_name, password }) => {
        const shown = isBlank(display_name) ? '' : display_name.trim();
        await actions.register({ username: username.trim(), password, ...(shown && { display_name: shown }) });
      },
    }),
    h(
      'p',
      { class: 'auth-switch' },
      'Already have an account? ',
      h('a', { href: to.signIn(), textContent: 'Sign in' }),
    ),
  ];
}

function checkSignUp({ username, password }) {
  if (!USERNAME.test(username.trim())) return ['username', 'Use 3 to 32 letters, digits, or _ . -'];
  if ([...password].length < MIN_PASSWORD_LENGTH)
    return ['password', `Use at least ${MIN_PASSWORD_LENGTH} characters.`];
  return null;
}
