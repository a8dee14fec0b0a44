// Choosing an emoji.
// This file contains the picker (the emoji used last, the common ones, and a box for any other) and the short row above
// a menu. It must not contain the list of emoji (lib/emoji.js), or what is done with the chosen one.

import { h, setText } from '../lib/dom.js';
import { COMMON, emojiName, isOneEmoji, rememberEmoji, quickEmoji, recentEmoji } from '../lib/emoji.js';
import { openPopup } from './popup.js';

/** @param {{at: Element, onChoose: (emoji: string) => void}} options */
export function openEmojiPicker({ at, onChoose }) {
  openPopup({ label: 'Choose a reaction', at, className: 'picker-popup' }, (close) => {
    const choose = (emoji) => {
      rememberEmoji(emoji);
      close(() => onChoose(emoji));
    };
    const recent = recentEmoji();
    const common = COMMON.map(([emoji]) => emoji);
    return [
      recent.length > 0 && grid('Used last', recent, choose),
      grid('Common', common, choose),
      otherEmojiForm(choose),
    ];
  });
}

/** Creates a row of a few emoji, with a button that opens the picker. */
export function quickRow({ chosen, onChoose, onMore }) {
  return h(
    'div',
    { class: 'quick-row', role: 'group', 'aria-label': 'React', on: { keydown: moveByKeys } },
    quickEmoji().map((emoji) => {
      const button = emojiButton(emoji, () => {
        rememberEmoji(emoji);
        onChoose(emoji);
      });
      button.setAttribute('aria-pressed', String(chosen.has(emoji)));
      return button;
    }),
    h('button', {
      type: 'button',
      class: 'emoji-button more',
      'aria-label': 'More emoji',
      textContent: '+',
      on: { click: onMore },
    }),
  );
}

function grid(title, emoji, choose) {
  const buttons = emoji.map((item) => emojiButton(item, () => choose(item)));
  for (const button of buttons.slice(1)) button.tabIndex = -1;
  return h(
    'section',
    { class: 'emoji-section' },
    h('h3', { class: 'section-title', textContent: title }),
    h('div', { class: 'emoji-grid', role: 'group', 'aria-label': title, on: { keydown: moveByKeys } }, buttons),
  );
}

function emojiButton(emoji, run) {
  return h('button', {
    type: 'button',
    class: 'emoji-button',
    'aria-label': emojiName(emoji),
    title: emojiName(emoji),
    textContent: emoji,
    on: { click: run },
  });
}

/** Creates a box for any other emoji, because the keyboards of phones and systems have all of them. */
function otherEmojiForm(choose) {
  const input = h('input', {
    class: 'input',
    'aria-label': 'Any emoji',
    placeholder: 'Any emoji',
    autocomplete: 'off',
  });
  const message = h('p', { class: 'field-hint', role: 'status' });
  const submit = (event) => {
    event.preventDefault();
    const emoji = input.value.trim();
    if (isOneEmoji(emoji)) choose(emoji);
    else setText(message, 'Type one emoji.');
  };
  return h(
    'form',
    { class: 'emoji-other', on: { submit } },
    input,
    h('button', { type: 'submit', class: 'button soft', textContent: 'React' }),
    message,
  );
}

/** Moves the focus inside a grid by arrow keys. The Tab key reaches the grid as one element. */
function moveByKeys(event) {
  const buttons = [...event.currentTarget.querySelectorAll('button')];
  const index = buttons.indexOf(document.activeElement);
  if (index === -1) return;
  const top = buttons[0].offsetTop;
  const columns = Math.max(
    1,
    buttons.findIndex((button) => button.offsetTop > top),
  );
  const row = buttons.at(-1).offsetTop === top ? 0 : columns;
  const target = {
    ArrowRight: buttons[index + 1],
    ArrowLeft: buttons[index - 1],
    ArrowDown: row > 0 && buttons[index + row],
    ArrowUp: row > 0 && buttons[index - row],
    Home: buttons[0],
    End: buttons.at(-1),
  }[event.key];
  if (!target) return;
  event.preventDefault();
  if (target.tabIndex === -1) buttons[index].tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}
