// What the user does with messages on the screen.
// This file contains one listener for each kind of event of the whole list, so that a message itself has none, and the
// buttons beside the message under the pointer or with the focus. It must not contain what the actions do.

import { h, setText } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { onLongPress } from '../lib/long-press.js';
import { onSwipe } from '../lib/swipe.js';
import { isTouch } from '../lib/touch.js';

/**
 * Handles the events of the messages in `list`.
 * @param {HTMLElement} list
 * @param {object} context what messages.js offers: the actions, `itemOf(element)`, `mayWrite`
 * @returns {{attachTools: (row: Element) => void, openMenu: (row: Element) => void}} `attachTools` gives a message that
 *   was drawn again its buttons back
 */
export function handleMessageEvents(list, context) {
  const { itemOf } = context;
  const actions = {
    react: (item, control) => context.onPicker(item, control),
    reply: (item) => context.onReply(item),
    menu: (item, control) =>
      context.onMenu(item, control.matches('.tool') ? control : control.closest('.message').querySelector('.bubble')),
    quote: (item) => context.onQuote(item.reply_to),
    toggle: (item, { dataset: { emoji } }) => context.mayWrite && context.onReact(item, emoji, !hasReacted(item, emoji)),
    retry: (item) => context.onRetry(item),
    discard: (item) => context.onDiscard(item),
  };

  list.addEventListener('click', (event) => {
    const control = event.target.closest('[data-action]');
    const item = control && itemOf(control.closest('.message'));
    if (item) actions[control.dataset.action]?.(item, control);
  });

  let pointed = messageTools();
  let focused = messageTools();
  const update = (tools, row) => {
    const item = row && itemOf(row);
    if (item?.seq) tools.attach(row, context.mayWrite && !item.deleted_at);
    else tools.detach();
  };
  const point = (event) => {
    const row = event.pointerType !== 'touch' && event.target.closest('.message');
    // The buttons that have the focus stay where they are.
    if (row && pointed.hasFocus) [pointed, focused] = [focused, pointed];
    if (row && row !== pointed.row && row !== focused.row) update(pointed, row);
  };
  list.addEventListener('pointerover', (event) => {
    // On a touch screen a mouse has to move: after a tap the browser acts as if one were left where the finger was.
    if (!isTouch()) point(event);
    loadNames(event.target);
  });
  list.addEventListener('pointermove', (event) => isTouch() && point(event));
  list.addEventListener('pointerleave', () => isTouch() && !pointed.hasFocus && pointed.detach());
  list.addEventListener('focusin', (event) => {
    const row = event.target.closest('.message');
    const isByKeyboard = row?.matches(':focus-visible') || row?.querySelector(':focus-visible');
    if (row && row === pointed.row) focused.detach();
    else if (isByKeyboard && row !== focused.row) update(focused, row);
    loadNames(event.target);
  });

  /** Loads the names of those who reacted, when the pointer or the focus is on a reaction for the first time. */
  async function loadNames(target) {
    const button = target.closest('.reaction[data-emoji]');
    const item = button && !button.dataset.named && itemOf(button.closest('.message'));
    if (!item) return;
    button.dataset.named = '';
    const names = await context.reactorNames(item, button.dataset.emoji);
    if (!names) return;
    setText(button.querySelector('.tip'), names);
    button.setAttribute('aria-description', names);
  }

  const openMenu = (row) => {
    const item = itemOf(row);
    if (item?.seq) context.onMenu(item, row.querySelector('.bubble'));
  };
  onLongPress(list, '.message[data-id]:not(.selecting)', openMenu);
  onSwipe(list, '.message[data-id]:not(.selecting)', {
    maySwipe: (row) => context.mayWrite && !itemOf(row)?.deleted_at,
    onSwipe: (row) => context.onReply(itemOf(row)),
  });

  return {
    openMenu,
    attachTools(row) {
      for (const tools of [pointed, focused]) if (tools.row === row) update(tools, row);
    },
  };
}

const hasReacted = ({ reactions }, emoji) => reactions.some((reaction) => reaction.emoji === emoji && reaction.me);

/**
 * Creates the buttons beside a message. There are few of them for the whole list, because many messages come and go. On
 * a touch screen a long press opens the menu instead.
 */
function messageTools() {
  const react = tool('react', 'React', 'reaction');
  const reply = tool('reply', 'Reply', 'reply');
  const element = h('div', { class: 'tools' }, react, reply, tool('menu', 'Message actions', 'more'));
  let row = null;
  return {
    get row() {
      return row;
    },
    attach(next, mayAnswer) {
      row = next;
      react.hidden = !mayAnswer;
      reply.hidden = !mayAnswer;
      for (const button of element.children) button.tabIndex = next.hasAttribute('data-current') ? 0 : -1;
      const line = next.querySelector('.message-line');
      if (element.parentNode !== line) line.append(element);
    },
    get hasFocus() {
      return element.contains(document.activeElement);
    },
    detach() {
      row = null;
      element.remove();
    },
  };
}

function tool(action, label, name) {
  return h(
    'button',
    { type: 'button', class: 'tool', 'aria-label': label, title: label, tabIndex: -1, data: { action, part: action } },
    icon(name, 17),
  );
}

/** Creates the button of a message for users of a screen reader on a touch screen, where nothing is pressed for long. */
export function touchMenuButton() {
  if (!isTouch()) return null;
  return h('button', {
    type: 'button',
    class: 'sr-only',
    'aria-label': 'Message actions',
    tabIndex: -1,
    data: { action: 'menu', part: 'menu' },
  });
}
