// From messages to the rows of a message list.
// This file contains a pure function without DOM elements that adds day lines and the unread line, and finds runs of
// one author.

import { preview } from '../lib/text.js';
import { MINUTE_MS, dayKey } from '../lib/time.js';

/** Two messages of one author belong to one run if less time than this is between them, in milliseconds. */
const RUN_MS = 5 * MINUTE_MS;

/**
 * Returns the rows of a message list.
 * @param {{items: object[], pending: object[], divider: number|null, meId: string, grouped: boolean}} room
 *   `divider`: the read mark after which the unread line is shown; null for no line
 * @returns {{key: string, kind: 'day'|'unread'|'system'|'message', item: object, own?: boolean, first?: boolean,
 *   last?: boolean, grouped?: boolean}[]}
 */
export function roomRows({ items, pending, divider, meId, grouped }) {
  const rows = [];
  const acknowledged = new Set(items.filter(({ sender_id }) => sender_id === meId).map(({ temp_id }) => temp_id));
  const all = [
    ...items,
    ...pending.filter(({ temp_id }) => !acknowledged.has(temp_id)).map((entry) => asMessage(entry, items, meId)),
  ];
  let day = null;
  let unreadAfter = divider;
  for (const item of all) {
    const own = item.sender_id === meId;
    if (dayKey(item.created_at) !== day) {
      day = dayKey(item.created_at);
      rows.push({ key: `day ${day}`, kind: 'day', item });
    }
    if (unreadAfter !== null && item.seq > unreadAfter && !own && item.type !== 'system') {
      rows.push({ key: 'unread', kind: 'unread', item });
      unreadAfter = null;
    }
    if (item.type === 'system') rows.push({ key: `m ${item.id}`, kind: 'system', item });
    else rows.push(message(item, own, grouped, rows.at(-1)));
  }
  return rows;
}

function message(item, own, grouped, before) {
  const continuesRun =
    before?.kind === 'message' &&
    before.item.sender_id === item.sender_id &&
    new Date(item.created_at) - new Date(before.item.created_at) < RUN_MS;
  if (continuesRun) before.last = false;
  // A message must keep its element when it is acknowledged. So its key is the `temp_id`, which both have.
  const key = own && item.temp_id ? `t ${item.temp_id}` : `m ${item.id}`;
  return { key, kind: 'message', item, own, first: !continuesRun, last: true, grouped };
}

function asMessage(entry, items, meId) {
  const original = entry.reply_to_id ? items.find(({ id }) => id === entry.reply_to_id) : null;
  const reply_to = original && {
    id: original.id,
    seq: original.seq,
    sender_id: original.sender_id,
    type: original.type,
    content: preview(original.content),
  };
  return { ...entry, type: 'text', sender_id: meId, reply_to };
}
