// Forms.
// Lives here: a labelled field, and a form that is busy while it is sent and says kindly what was wrong. What is too long
// is said, never cut off: whoever pastes a password would not know which one they have.
// May not live here: what is sent.

import { h, setAttribute, setText, uniqueId } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { limitSentence } from '../lib/limits.js';
import { scalarCount } from '../lib/text.js';
import { sentence } from './words.js';

/**
 * @param {string} label also the field's accessible name
 * @param {object} attributes of the input
 * @param {{hint?: string, reveal?: boolean, tag?: string, most?: number}} [options] `reveal`: a button that shows what is
 *   typed; `most`: characters
 */
export function field(label, attributes, { hint = '', reveal = false, tag = 'input', most = Infinity } = {}) {
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
  // As the server counts: white space around anything but a password is no part of it.
  const secret = attributes.type === 'password';
  const excess = () => limitSentence(secret ? [...input.value].length : scalarCount(input.value), most);
  input.addEventListener('input', () => setError(excess()));
  return { element, input, setError, excess };
}

/** The same for a text of several lines. */
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
 * @param {{fields: Record<string, ReturnType<typeof field>>, button: HTMLButtonElement, submit: (values: Record<string, string>) => Promise<string|void>,
 *   check?: (values: Record<string, string>) => [string, string]|null, className?: string}} options
 *   `check` names a field and what is wrong with it; `submit` may return a sentence of success
 */
export function form({ fields, button, submit, check = () => null, className = '' }, ...more) {
  const status = h('p', { class: 'form-status', role: 'alert' });
  const say = (text, kind) => {
    status.dataset.kind = kind;
    setText(status, text);
  };
  const blame = (name, text) => {
    fields[name].setError(text);
    fields[name].input.focus();
  };
  const refused = (error) => {
    const [first, ...others] = error.fields ?? [];
    const named = first && fields[first.field];
    if (named && others.length === 0) blame(first.field, `This ${first.message}.`.replace(/\.\.$/, '.'));
    else if (error.code === 'username_taken' && fields.username) blame('username', sentence(error));
    else if (error.code === 'invalid_credentials' && fields.current_password)
      blame('current_password', 'This is not your password.');
    else say(sentence(error), 'error');
  };
  let busy = false;
  // The button keeps the focus meanwhile, which one that is disabled would lose.
  const setBusy = (value) => {
    busy = value;
    for (const name of ['aria-disabled', 'data-busy']) setAttribute(button, name, value ? 'true' : null);
  };
  const onSubmit = async (event) => {
    event.preventDefault();
    if (busy) return;
    say('', 'none');
    const values = Object.fromEntries(Object.entries(fields).map(([name, { input }]) => [name, input.value]));
    const long = Object.entries(fields).find(([, { excess }]) => excess());
    const wrong = long ? [long[0], long[1].excess()] : check(values);
    if (wrong) return void blame(...wrong);
    setBusy(true);
    try {
      say((await submit(values)) ?? '', 'success');
    } catch (error) {
      refused(error);
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
