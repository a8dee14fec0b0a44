// Finding people.
// Lives here: the search box and its results, for choosing one person or several. May not live here: what is done with
// the chosen.

import { fill, h, setText, uniqueId } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { keyedList } from '../lib/keyed.js';
import { nameOf } from '../state/conversations.js';
import { avatar } from './avatar.js';
import { sentence } from './words.js';

/** Pause after the last keystroke before the server is asked, in milliseconds. */
const PAUSE = 180;

/**
 * @param {object} app
 * @param {{several: boolean, without?: Set<string>, onChoose: (user: object) => void, onChange?: (chosen: object[]) => void}} options
 *   `several`: a chosen person joins the chips below the box, else `onChoose` is called at once
 */
export function peoplePicker(
  { actions, client },
  { several, without = new Set(), onChoose = () => {}, onChange = () => {} },
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
  let found = [];
  let request = null;
  let timer = null;

  function show() {
    keyedList(chips, [...chosen.values()], { key: (user) => user.id, create: chip });
    chips.hidden = chosen.size === 0;
    keyedList(results, found, { key: (user) => user.id, create: person, update: updatePerson });
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
    if (!several) return;
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
    if (!several) return onChoose(user);
    if (!chosen.delete(user.id)) chosen.set(user.id, user);
    show();
    onChange([...chosen.values()]);
    return input.focus();
  }

  async function search() {
    // An @ alone, with which some begin, names nobody yet; before a name the server takes it.
    const query = input.value.trim().replace(/^[@＠]$/, '');
    request?.abort();
    if (query === '') {
      found = [];
      setText(hint, 'Type a name to find people on this server.');
      return show();
    }
    const current = new AbortController();
    request = current;
    try {
      const users = await actions.findPeople(query, current.signal);
      if (request !== current) return undefined;
      found = users.filter((user) => !without.has(user.id));
      const nobody = users.length > 0 ? 'Already in the group.' : `Nobody here is called “${query}”.`;
      setText(hint, found.length === 0 ? nobody : '');
    } catch (error) {
      if (request !== current || error.code === 'aborted') return undefined;
      found = [];
      setText(hint, sentence(error));
    }
    return show();
  }

  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      results.querySelector('button')?.focus();
    }
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (found.length === 1) choose(found[0]);
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
    /** Changes between choosing one and choosing several. */
    setSeveral(value) {
      several = value;
      if (!several) chosen.clear();
      results.replaceChildren();
      const shown = found;
      found = [];
      show();
      found = shown;
      show();
      onChange([...chosen.values()]);
    },
  };
}
