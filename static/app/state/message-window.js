// The messages of a conversation that are kept.
// This file contains pure functions on a window of messages: pages and live messages join it, and it stays bounded. It
// must not contain requests, the store, or DOM elements.
//
// A window covers the range of `seq` from `from` to `to` completely: `items` are all messages in it that this user can
// see, ascending. Messages that the user hid are missing there, so the range cannot be derived from the items. `newest`
// is the greatest `seq` that is known to exist. While the window ends before it, live messages are collected in `tail`,
// the run of the latest ones, and join the window as soon as a page reaches them. So loading comes to an end also while
// messages arrive faster than pages.

/** The most messages in a window. Every message costs layout and memory, whether it is on the screen or not. */
export const MAX_MESSAGES = 200;
/** The fewest messages kept on each side of the view, if they are loaded. */
const MIN_MARGIN = 60;
/** The most messages in `tail`. */
const MAX_TAIL = 100;

/**
 * @typedef {{seq: number, shownRev: number}} Message
 * @typedef {{items: Message[], from: number|null, to: number|null, newest: number,
 *   tail: {items: Message[], from: number}|null}} MessageWindow `from` and `to` are null before the first page
 * @typedef {{first: number, last: number}|null} View the messages on the screen; null: the view follows the end
 */

/** @returns {MessageWindow} */
export function emptyWindow() {
  return { items: [], from: null, to: null, newest: 0, tail: null };
}

/** Whether there are messages before the window. */
export function hasBefore({ from }) {
  return from !== null && from > 1;
}

/** Whether there are messages after the window. */
export function hasAfter({ to, newest }) {
  return to !== null && to < newest;
}

/** Whether every message from `first` to `last` is in the window, as far as the user can see it. */
export function covers({ from, to }, first, last = first) {
  return to !== null && from <= first && to >= last;
}

/**
 * Returns a page with the range that it covers.
 * @param {{items: Message[], has_more_before: boolean, has_more_after: boolean, rev: number}} page
 * @param {{before?: number, after?: number}} request the parameters with which it was requested
 * @param {number} newest the greatest `seq` that was known when the page was requested: if the page says that there is
 *   nothing after it, it covers that one too
 */
export function coverOf({ items, has_more_before, has_more_after, rev }, { before, after } = {}, newest = 0) {
  const first = items[0]?.seq ?? 1;
  const last = items.at(-1)?.seq ?? 0;
  const from = has_more_before ? first : 1;
  if (before !== undefined) return { items, from, to: before - 1, rev, newest: before - 1 };
  const to = has_more_after ? last : Math.max(last, newest, after ?? 0);
  const known = Math.max(newest, has_more_after ? to + 1 : to);
  return { items, from: after === undefined ? from : after + 1, to, rev, newest: known };
}

/**
 * Adds a page. If it neither overlaps nor touches the window, it replaces it.
 * @param {MessageWindow} window
 * @param {ReturnType<typeof coverOf>} page
 * @param {View} view
 * @returns {MessageWindow}
 */
export function withPage(window, page, view = null) {
  const newest = Math.max(window.newest, page.newest);
  if (!touches(window, page)) return trimmed(attached({ ...rangeOf(page), newest, tail: window.tail }), view);
  const from = Math.min(window.from, page.from);
  const to = Math.max(window.to, page.to);
  return trimmed(attached({ items: joined(window.items, page), from, to, newest, tail: window.tail }), view);
}

/** Whether a page can join the window without a gap. */
export function touches({ from, to }, page) {
  return to !== null && page.from <= to + 1 && page.to >= from - 1;
}

/**
 * Replaces the window by a page of what may be another history. Only messages that came after the page stay.
 * @param {MessageWindow} window
 * @param {ReturnType<typeof coverOf>} page
 * @returns {MessageWindow}
 */
export function withHistory(window, page) {
  const later = [...(hasAfter(window) ? [] : window.items), ...(window.tail?.items ?? [])].filter(
    ({ seq, shownRev }) => seq > page.to && shownRev > page.rev,
  );
  const tail = later.length > 0 ? { items: later, from: later[0].seq } : null;
  return trimmed(attached({ ...rangeOf(page), newest: Math.max(page.newest, later.at(-1)?.seq ?? 0), tail }), null);
}

/**
 * Adds a new message.
 * @param {MessageWindow} window
 * @param {Message} message its `shownRev` is 0 if it is from the answer to the user's own send, whose event follows
 * @param {View} view
 * @returns {MessageWindow}
 */
export function withMessage(window, message, view = null) {
  const { seq } = message;
  const newest = Math.max(window.newest, seq);
  if (covers(window, seq)) return { ...window, items: inserted(window.items, message) };
  if (window.to !== null && seq < window.from) return window;
  if (window.to !== null && !hasAfter(window))
    return trimmed({ ...window, items: [...window.items, message], to: seq, newest }, view);
  return { ...window, newest, tail: withLive(window.tail, message) };
}

/** Returns the window with each message replaced by the result of `change`, which may return the same message. */
export function mapped(window, change) {
  const items = window.items.map(change);
  const tail = window.tail && { ...window.tail, items: window.tail.items.map(change) };
  return { ...window, items, tail };
}

/** Returns the window without the message that this user hid. */
export function without(window, id) {
  const isOther = (message) => message.id !== id;
  const tail = window.tail && { ...window.tail, items: window.tail.items.filter(isOther) };
  return { ...window, items: window.items.filter(isOther), tail };
}

/**
 * Whether the side of the view needs more messages: there are more, and few are loaded.
 * @param {MessageWindow} window
 * @param {View} view
 * @param {'before'|'after'} side
 * @param {number} screens the height of what is loaded beyond the view on this side, in screens
 */
export function needsMore(window, view, side, screens) {
  if (!(side === 'before' ? hasBefore(window) : hasAfter(window))) return false;
  if (screens >= 2) return false;
  if (view === null) return true;
  // With many short messages two screens may be more than the window keeps. Then loading would never end.
  return countBeyond(window, view, side) < MIN_MARGIN || screens < 0.5;
}

function countBeyond({ items }, { first, last }, side) {
  return items.filter(({ seq }) => (side === 'before' ? seq < first : seq > last)).length;
}

/** Drops what is over the limit on the side where more is loaded beyond the view. */
function trimmed(window, view) {
  const { items } = window;
  const before = view === null ? Infinity : countBeyond(window, view, 'before');
  const after = view === null ? 0 : countBeyond(window, view, 'after');
  const shown = view === null ? 0 : items.length - before - after;
  const excess = items.length - Math.max(MAX_MESSAGES, shown + 2 * MIN_MARGIN);
  if (excess <= 0) return window;
  const balanced = view === null ? excess : Math.round((before - after + excess) / 2);
  const dropBefore = Math.min(Math.max(balanced, 0), excess);
  const dropAfter = excess - dropBefore;
  const kept = items.slice(dropBefore, items.length - dropAfter);
  return {
    ...window,
    items: kept,
    from: dropBefore > 0 ? kept[0].seq : window.from,
    to: dropAfter > 0 ? kept.at(-1).seq : window.to,
  };
}

/** Joins the latest live messages with the window, if the window reaches them by now. */
function attached(window) {
  const { tail, to, newest, items } = window;
  if (tail === null || to < tail.from - 1) return window;
  const rest = tail.items.filter(({ seq }) => seq > to);
  return { ...window, items: [...items, ...rest], to: Math.max(to, newest), tail: null };
}

/** Of a message that is in both, the one that was read later stays. What the page does not contain was hidden. */
function joined(items, page) {
  const old = new Map(items.map((item) => [item.seq, item]));
  const fromPage = page.items.map((item) => (old.get(item.seq)?.shownRev > item.shownRev ? old.get(item.seq) : item));
  const inPage = new Set(page.items.map(({ seq }) => seq));
  const later = items.filter(
    ({ seq, shownRev }) => seq >= page.from && seq <= page.to && !inPage.has(seq) && shownRev > page.rev,
  );
  return [
    ...items.filter(({ seq }) => seq < page.from),
    ...[...fromPage, ...later].sort((a, b) => a.seq - b.seq),
    ...items.filter(({ seq }) => seq > page.to),
  ];
}

function inserted(items, message) {
  const index = items.findIndex(({ seq }) => seq >= message.seq);
  if (items[index]?.seq === message.seq) return items;
  return index === -1 ? [...items, message] : [...items.slice(0, index), message, ...items.slice(index)];
}

/** Adds a live message to the latest ones. The answer to an own send may come early, and is left to its event. */
function withLive(tail, message) {
  if (message.shownRev === 0) return tail;
  if (tail === null) return { items: [message], from: message.seq };
  if (message.seq < tail.from) return tail;
  const items = inserted(tail.items, message).slice(-MAX_TAIL);
  return { items, from: Math.max(tail.from, items[0].seq) };
}

const rangeOf = ({ items, from, to }) => ({ items, from, to });
