// From messages to the rows of a room.
// Lives here: a pure function that puts in day lines and the unread line and finds runs of one author.
// May not live here: elements.

import { preview } from '../lib/text.js';
import { MINUTE, dayOf } from '../lib/time.js';

/** Messages of one author that are closer than this belong together, in milliseconds. */
const RUN = 5 * MINUTE;

/**
 * @param {{items: object[], pending: object[], divider: number|null, meId: string, grouped: boolean}} room
 *   `divider`: the read mark below which the unread line stands, null for none
 * @returns {{key: string, kind: 'day'|'unread'|'system'|'message', item: object, own?: boolean, first?: boolean, last?: boolean, grouped?: boolean}[]}
 */
export function roomRows({ items, pending, divider, meId, grouped }) {
  const rows = [];
  const acknowledged = new Set(items.filter(({ sender_id }) => sender_id === meId).map(({ temp_id }) => temp_id));
  const all = [
    ...items,
    ...pending.filter(({ temp_id }) => !acknowledged.has(temp_id)).map((entry) => asMessage(entry, items, meId)),
  ];
  let day = null;
  let line = divider;
  for (const item of all) {
    const own = item.sender_id === meId;
    if (dayOf(item.created_at) !== day) {
      day = dayOf(item.created_at);
      rows.push({ key: `day ${day}`, kind: 'day', item });
    }
    if (line !== null && item.seq > line && !own && item.type !== 'system') {
      rows.push({ key: 'unread', kind: 'unread', item });
      line = null;
    }
    if (item.type === 'system') rows.push({ key: `m ${item.id}`, kind: 'system', item });
    else rows.push(message(item, own, grouped, rows.at(-1)));
  }
  return rows;
}

function message(item, own, grouped, before) {
  const joins =
    before?.kind === 'message' &&
    before.item.sender_id === item.sender_id &&
    new Date(item.created_at) - new Date(before.item.created_at) < RUN;
  if (joins) before.last = false;
  // A message keeps its element when it turns from pending to sent, so its key is the id that both have.
  const key = own && item.temp_id ? `t ${item.temp_id}` : `m ${item.id}`;
  return { key, kind: 'message', item, own, first: !joins, last: true, grouped };
}

function asMessage(entry, items, meId) {
  const original = entry.reply_to_id ? items.find(({ id }) => id === entry.reply_to_id) : null;
  const reply_to = original && {
    id: original.id,
    sender_id: original.sender_id,
    type: original.type,
    content: preview(original.content),
  };
  return { ...entry, type: 'text', sender_id: meId, reply_to };
}
