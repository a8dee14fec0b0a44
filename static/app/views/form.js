// Forms.
// This file contains a field with a label, and a form that shows progress and errors. Input that is too long is refused
// and never cut off: a user who pastes a password would not know which password is stored. It must not contain what is
// sent.

import { h, setAttribute, setText, uniqueId } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { lengthError } from '../lib/limits.js';
import { scalarCount } from '../lib/text.js';
import { errorText } from './texts.js';

/**
 * Creates a field.
 * @param {string} label the label, also for screen readers
 * @param {object} attributes the attributes of the input
 * @param {{hint?: string, reveal?: boolean, tag?: string, maxLength?: number}} [options] `reveal`: adds a button that
 *   shows the characters of a password; `maxLength`: in characters
 */
export function field(label, attributes, { hint = '', reveal = false, tag = 'input', maxLength = Infinity } = {}) {
  const id = uniqueId('field');
  const hintId = `${id}-hint`;
  const input = h(tag, { id, class: 'input', 'aria-describedby': hintId, ...attributes });
  const note = h('p', { id: hintId, class: 'field-hint', textContent: hint });
  const element = h(
    'div',
    { class: 'field' },
    h('label', { class: 'field-label', htmlFor: id, textContent: label }),
    h('div', { class: 'field-box' }, input, reveal && revealButton(input)),
    note,
  );
  const setError = (text) => {
    setAttribute(input, 'aria-invalid', text ? 'true' : null);
    element.classList.toggle('invalid', Boolean(text));
    setText(note, text || hint);
  };
  // Count as the server does: white space around the text does not count, except in a password.
  const isPassword = attributes.type === 'password';
  const lengthErrorText = () => lengthError(isPassword ? [...input.value].length : scalarCount(input.value), maxLength);
  input.addEventListener('input', () => setError(lengthErrorText()));
  return { element, input, setError, lengthErrorText };
}

/** Creates a field with several lines. */
export function area(label, attributes, options = {}) {
  return field(label, attributes, { ...options, tag: 'textarea' });
}

function revealButton(input) {
  const button = h(
    'button',
    { type: 'button', class: 'icon-button reveal', 'aria-label': 'Show characters', 'aria-pressed': 'false' },
    icon('eye'),
  );
  button.addEventListener('click', () => {
    const shown = input.type === 'text';
    input.type = shown ? 'password' : 'text';
    setAttribute(button, 'aria-pressed', String(!shown));
  });
  return button;
}

/**
 * Creates a form.
 * @param {{fields: Record<string, ReturnType<typeof field>>, button: HTMLButtonElement,
 *   submit: (values: Record<string, string>) => Promise<string|void>,
 *   check?: (values: Record<string, string>) => [string, string]|null, className?: string}} options
 *   `check` returns the name of a field and its error; `submit` may return a text that is shown after success
 */
export function form({ fields, button, submit, check = () => null, className = '' }, ...more) {
  const status = h('p', { class: 'form-status', role: 'alert' });
  const showStatus = (text, kind) => {
    status.dataset.kind = kind;
    setText(status, text);
  };
  const showFieldError = (name, text) => {
    fields[name].setError(text);
    fields[name].input.focus();
  };
  const showError = (error) => {
    const [first, ...others] = error.fields ?? [];
    const isKnownField = first && fields[first.field];
    if (isKnownField && others.length === 0)
      showFieldError(first.field, `This ${first.message}.`.replace(/\.\.$/, '.'));
    else if (error.code === 'username_taken' && fields.username) showFieldError('username', errorText(error));
    else if (error.code === 'invalid_credentials' && fields.current_password)
      showFieldError('current_password', 'This is not your password.');
    else showStatus(errorText(error), 'error');
  };
  let busy = false;
  // The button keeps the focus while the form is sent. A disabled button would lose it.
  const setBusy = (value) => {
    busy = value;
    for (const name of ['aria-disabled', 'data-busy']) setAttribute(button, name, value ? 'true' : null);
  };
  const onSubmit = async (event) => {
    event.preventDefault();
    if (busy) return;
    showStatus('', 'none');
    const values = Object.fromEntries(Object.entries(fields).map(([name, { input }]) => [name, input.value]));
    const tooLong = Object.entries(fields).find(([, { lengthErrorText }]) => lengthErrorText());
    const invalid = tooLong ? [tooLong[0], tooLong[1].lengthErrorText()] : check(values);
    if (invalid) return void showFieldError(...invalid);
    setBusy(true);
    try {
      showStatus((await submit(values)) ?? '', 'success');
    } catch (error) {
      showError(error);
    } finally {
      setBusy(false);
    }
  };
  return h(
    'form',
    { class: `form ${className}`, novalidate: true, on: { submit: onSubmit } },
    Object.values(fields).map(({ element }) => element),
    more,
    status,
    button,
  );
}
