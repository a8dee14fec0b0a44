// The elements of the rows of a message list.
// This file creates an element for each row and fills it again when what it shows has changed. It must not contain how a
// message looks (message.js), or which rows there are (rows.js).

import { fill, h } from '../lib/dom.js';
import { dayName } from '../lib/time.js';
import { createMessage, updateMessage, updateSystem } from './message.js';

const CLASSES = { day: 'day-line', unread: 'unread-line', system: 'system' };

/**
 * Returns what a keyed list needs for the rows of a conversation.
 * @param {string} id the id of the conversation
 * @param {object} context see message.js
 * @param {{onCreate: (element: Element) => void}} listeners `onCreate` is called with each new message
 */
export function rowElements(id, context, { onCreate }) {
  const shown = new WeakMap();

  function create({ kind }) {
    const element = kind === 'message' ? createMessage() : h('div', { class: CLASSES[kind] });
    if (kind === 'message' || kind === 'system') onCreate(element);
    return element;
  }

  /** Fills an element, unless it shows the same already. */
  function update(element, row) {
    const { item, first, last, grouped } = row;
    const { people, members } = context.state;
    const sender = grouped ? people.get(item.sender_id) : null;
    const named = item.mentions?.length > 0 || item.reply_to ? members.get(id) : null;
    const inputs = [item, item.state, first, last, grouped, sender, context.mayWrite, named];
    if (shown.get(element)?.inputs.every((value, index) => value === inputs[index])) return;
    shown.set(element, { item, inputs });
    if (row.kind === 'message') updateMessage(element, row, context);
    else if (row.kind === 'system') updateSystem(element, row, context);
    else if (row.kind === 'day') fill(element, h('span', { textContent: dayName(item.created_at) }));
    else fill(element, h('span', { textContent: 'New messages' }));
  }

  return {
    key: ({ key }) => key,
    create,
    update,
    /** Returns the message that an element shows. */
    itemOf: (element) => shown.get(element)?.item ?? null,
  };
}
