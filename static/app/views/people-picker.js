// Finding users.
// This file contains the search box and its results, for choosing one user or several.

import { fill, h, setText, uniqueId } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { isInputMethodKey } from '../lib/keyboard.js';
import { keyedList } from '../lib/keyed.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { errorText } from './texts.js';

/** The pause after the last keystroke before the search is sent, in milliseconds. */
const SEARCH_DELAY_MS = 180;

/**
 * Creates the search.
 * @param {object} app
 * @param {{multiple: boolean, exclude?: Set<string>, onChoose: (user: object) => void,
 *   onChange?: (chosen: object[]) => void}} options
 *   `multiple`: chosen users are added to a list below the box, else `onChoose` is called immediately
 */
export function peoplePicker(
  { actions, client },
  { multiple, exclude = new Set(), onChoose = () => {}, onChange = () => {} },
) {
  const id = uniqueId('find');
  const input = h('input', {
    id,
    class: 'input',
    type: 'search',
    placeholder: 'Name or username',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const chips = h('ul', { class: 'chips', role: 'list', 'aria-label': 'Chosen people' });
  const results = h('ul', { class: 'people', role: 'list', 'aria-label': 'People' });
  const hint = h('p', { class: 'people-hint', role: 'status' });
  const element = h(
    'div',
    { class: 'picker' },
    h(
      'div',
      { class: 'field' },
      h('label', { class: 'field-label', htmlFor: id, textContent: 'Find people' }),
      h('div', { class: 'field-box search-box' }, icon('search', 18), input),
    ),
    chips,
    results,
    hint,
  );
  const chosen = new Map();
  let foundUsers = [];
  let request = null;
  let timer = null;

  function show() {
    keyedList(chips, [...chosen.values()], { key: (user) => user.id, create: chip });
    chips.hidden = chosen.size === 0;
    keyedList(results, foundUsers, { key: (user) => user.id, create: person, update: updatePerson });
  }

  function person(user) {
    const name = nameOf(user);
    const handle = uniqueId('handle');
    const button = h(
      'button',
      {
        type: 'button',
        class: 'person',
        'aria-label': name,
        'aria-describedby': handle,
        on: { click: () => choose(user) },
      },
      avatar({ id: user.id, name, url: user.avatar_url }, { fileToken: client.connection.fileToken }),
      h(
        'span',
        { class: 'person-text' },
        h('span', { class: 'person-name', textContent: name }),
        h('span', { class: 'person-handle', id: handle, textContent: `@${user.username}` }),
      ),
      h('span', { class: 'person-mark', 'aria-hidden': 'true' }),
    );
    return h('li', {}, button);
  }

  function updatePerson(element, user) {
    const button = element.firstChild;
    if (!multiple) return;
    button.setAttribute('aria-pressed', String(chosen.has(user.id)));
    fill(button.lastChild, chosen.has(user.id) && icon('check', 18));
  }

  function chip(user) {
    const name = nameOf(user);
    return h(
      'li',
      { class: 'chip' },
      h('span', { textContent: name }),
      h(
        'button',
        { type: 'button', class: 'chip-remove', 'aria-label': `Unselect ${name}`, on: { click: () => choose(user) } },
        icon('close', 14),
      ),
    );
  }

  function choose(user) {
    if (!multiple) return onChoose(user);
    if (!chosen.delete(user.id)) chosen.set(user.id, user);
    show();
    onChange([...chosen.values()]);
    return input.focus();
  }

  async function search() {
    // Some users begin with an @. Alone it matches no user; before a name the server ignores it.
    const query = input.value.trim().replace(/^[@＠]$/, '');
    request?.abort();
    if (query === '') {
      foundUsers = [];
      setText(hint, 'Type a name to find people on this server.');
      return show();
    }
    const current = new AbortController();
    request = current;
    try {
      const users = await actions.findPeople(query, current.signal);
      if (request !== current) return undefined;
      foundUsers = users.filter((user) => !exclude.has(user.id));
      const emptyText = users.length > 0 ? 'Already in the group.' : `Nobody here is called “${query}”.`;
      setText(hint, foundUsers.length === 0 ? emptyText : '');
    } catch (error) {
      if (request !== current || error.code === 'aborted') return undefined;
      foundUsers = [];
      setText(hint, errorText(error));
    }
    return show();
  }

  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, SEARCH_DELAY_MS);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      results.querySelector('button')?.focus();
    }
    if (event.key !== 'Enter' || isInputMethodKey(event)) return;
    event.preventDefault();
    if (foundUsers.length === 1) choose(foundUsers[0]);
  });
  results.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...results.querySelectorAll('button')];
    const target = buttons[buttons.indexOf(document.activeElement) + step];
    if (target) target.focus();
    else if (step < 0) input.focus();
  });

  setText(hint, 'Type a name to find people on this server.');
  show();
  return {
    element,
    focus: () => input.focus(),
    /** Changes between choosing one user and choosing several. */
    setMultiple(value) {
      multiple = value;
      if (!multiple) chosen.clear();
      results.replaceChildren();
      const shown = foundUsers;
      foundUsers = [];
      show();
      foundUsers = shown;
      show();
      onChange([...chosen.values()]);
    },
  };
}
