// The window of messages, and the read mark that follows from what was seen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_MESSAGES,
  coverOf,
  covers,
  emptyWindow,
  hasAfter,
  hasBefore,
  mapped,
  needsMore,
  withHistory,
  withMessage,
  withPage,
  without,
} from '../../static/app/state/message-window.js';
import { SeenMessages } from '../../static/app/state/seen.js';

const message = (seq, shownRev = 10, more = {}) => ({ id: `m${seq}`, seq, shownRev, ...more });
const range = (first, last, rev) =>
  Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => message(first + index, rev));
const seqs = ({ items }) => items.map(({ seq }) => seq);
const ends = (window) => [window.items[0]?.seq, window.items.at(-1)?.seq, hasBefore(window), hasAfter(window)];

/** A page as the server answers it, of a conversation whose messages are `1` to `newest`, without the hidden ones. */
function page(first, last, { newest = last, rev = 10, hidden = [] } = {}) {
  return {
    items: range(first, last, rev).filter(({ seq }) => !hidden.includes(seq)),
    has_more_before: first > 1,
    has_more_after: last < newest,
    rev,
  };
}
const newestPage = (first, last, options) => coverOf(page(first, last, options));
const open = (first, last, options) => withPage(emptyWindow(), newestPage(first, last, options));
const live = (window, first, last, view) => {
  for (let seq = first; seq <= last; seq += 1) window = withMessage(window, message(seq, 10 + seq), view);
  return window;
};

test('pages above and below are joined in order, each message once', () => {
  let window = open(51, 100);
  window = withPage(window, coverOf(page(1, 50), { before: 51 }));
  assert.deepEqual(ends(window), [1, 100, false, false]);
  window = withPage(window, newestPage(81, 120));
  assert.deepEqual([window.items.length, ...ends(window)], [120, 1, 120, false, false]);
  assert.deepEqual(
    seqs(window),
    [...seqs(window)].sort((a, b) => a - b),
  );
});

test('a page that does not touch the window replaces it, and the way back is loaded', () => {
  let window = withPage(open(51, 100), coverOf(page(10, 20, { newest: 100 })));
  assert.deepEqual(ends(window), [10, 20, true, true]);
  window = withPage(window, coverOf(page(21, 70, { newest: 100 }), { after: 20 }));
  window = withPage(window, coverOf(page(71, 100), { after: 70 }, window.newest));
  assert.deepEqual(ends(window), [10, 100, true, false]);
});

test('the window is bounded in both directions, and the view stays in it', () => {
  let window = open(951, 1000);
  for (let before = 951; before > 1; before -= 50) {
    const view = { first: before, last: before + 15 };
    window = withPage(window, coverOf(page(before - 50, before - 1, { newest: 1000 }), { before }), view);
    assert.ok(window.items.length <= MAX_MESSAGES);
    assert.ok(covers(window, view.first, view.last));
  }
  assert.deepEqual(ends(window), [1, 200, false, true]);
  for (let after = 200; after < 1000; after += 50) {
    const view = { first: after - 15, last: after };
    window = withPage(window, coverOf(page(after + 1, after + 50, { newest: 1000 }), { after }, 1000), view);
    assert.ok(window.items.length <= MAX_MESSAGES);
    assert.ok(covers(window, view.first, view.last));
  }
  assert.deepEqual(ends(window), [801, 1000, true, false]);
});

test('live messages are bounded too: at the end the oldest go', () => {
  const window = live(open(1, 50), 51, 6000);
  assert.deepEqual([window.items.length, ...ends(window)], [MAX_MESSAGES, 5801, 6000, true, false]);
});

test('while the user reads above, live messages do not push the view out', () => {
  const view = { first: 10, last: 25 };
  const window = live(open(1, 100), 101, 5000, view);
  assert.deepEqual([window.items.length, window.items[0].seq, hasAfter(window)], [MAX_MESSAGES, 1, true]);
  assert.equal(window.newest, 5000);
});

test('in the middle both sides keep their margin while live messages come', () => {
  const view = { first: 100, last: 115 };
  const window = live(open(1, 200), 201, 1000, view);
  const before = window.items.filter(({ seq }) => seq < view.first).length;
  const after = window.items.filter(({ seq }) => seq > view.last).length;
  assert.equal(window.items.length, MAX_MESSAGES);
  assert.ok(before >= 60 && after >= 60, `${before} ${after}`);
});

test('messages that come while the first page is loaded follow it', () => {
  const window = withPage(live(emptyWindow(), 101, 105), newestPage(51, 102));
  assert.deepEqual(ends(window), [51, 105, true, false]);
  assert.equal(new Set(seqs(window)).size, 55);
});

test('loading the end comes to an end also while messages arrive during each page', () => {
  let window = live(withPage(open(401, 500), coverOf(page(1, 50, { newest: 500 }))), 501, 510);
  let pages = 0;
  for (; hasAfter(window); pages += 1) {
    assert.ok(pages < 12, 'loading does not end');
    const after = window.to;
    const known = window.newest;
    const answer = coverOf(page(after + 1, Math.min(after + 50, known), { newest: known }), { after }, known);
    window = live(window, known + 1, known + 10, { first: after - 10, last: after });
    window = withPage(window, answer, { first: after - 10, last: after });
  }
  assert.equal(window.items.at(-1).seq, window.newest);
  assert.ok(seqs(window).every((seq, index, all) => index === 0 || seq === all[index - 1] + 1));
});

test('a hidden newest message does not cause loading for ever', () => {
  let window = withPage(open(51, 100), coverOf(page(1, 20, { newest: 100 })));
  window = withPage(window, coverOf(page(21, 100, { hidden: [99, 100] }), { after: 20 }, window.newest));
  assert.deepEqual(ends(window), [21 - 20, 98, false, false]);
  window = withPage(emptyWindow(), coverOf(page(1, 0)));
  assert.deepEqual(ends(window), [undefined, undefined, false, false]);
});

test('the answer to an own send may come before the event of the message before it', () => {
  let window = withMessage(open(1, 4), message(6, 0));
  window = withMessage(window, message(5, 15));
  window = withMessage(window, message(6, 16));
  assert.deepEqual(seqs(window), [1, 2, 3, 4, 5, 6]);
});

test('the answer to an own send far from the end leaves no gap', () => {
  let window = withPage(open(91, 100), coverOf(page(1, 50, { newest: 100 })));
  window = withMessage(window, message(103, 0));
  window = live(window, 101, 103);
  window = withPage(window, coverOf(page(51, 100, { newest: 100 }), { after: 50 }, 100));
  assert.deepEqual(seqs(window), range(1, 103).map(({ seq }) => seq));
});

test('of two copies of a message the one that was read later stays; a message that is missing was hidden', () => {
  let window = mapped(open(1, 5, { rev: 10 }), (item) => (item.seq === 3 ? message(3, 20, { content: 'new' }) : item));
  window = withPage(window, coverOf(page(1, 5, { rev: 15, hidden: [2] })));
  assert.deepEqual(seqs(window), [1, 3, 4, 5]);
  assert.equal(window.items[1].content, 'new');
  assert.deepEqual(seqs(without(window, 'm3')), [1, 4, 5]);
});

test('another history replaces the window, with the messages that came after it', () => {
  const window = live(open(51, 100), 101, 102);
  assert.deepEqual(ends(withHistory(window, newestPage(41, 100, { rev: 40 }))), [41, 102, true, false]);
  const shorter = withHistory(window, newestPage(1, 20, { rev: 400 }));
  assert.deepEqual([...ends(shorter), shorter.newest], [1, 20, false, false, 20]);
});

test('more is loaded two screens ahead, but not more than the window can keep', () => {
  const window = withPage(open(901, 1000), coverOf(page(401, 500, { newest: 1000 })));
  const view = { first: 430, last: 440 };
  assert.ok(needsMore(window, view, 'before', 1.9));
  assert.ok(!needsMore(window, view, 'before', 2));
  assert.ok(needsMore(window, view, 'after', 0.4));
  assert.ok(!needsMore(window, { first: 470, last: 480 }, 'before', 1), 'seventy messages are loaded already');
  assert.ok(!needsMore(open(1, 50), null, 'before', 0));
  assert.ok(!needsMore(open(1, 50), null, 'after', 0));
});

const others = () => false;
const seen = (...numbers) => {
  const messages = new SeenMessages();
  for (const seq of numbers) messages.add(seq);
  return messages;
};

test('messages are read without a gap from the mark on', () => {
  const window = open(1, 20);
  assert.equal(seen(6, 7, 8).markAfter(window, 5, others), 8);
  assert.equal(seen(7, 8).markAfter(window, 5, others), 5);
  assert.equal(seen(6, 8, 9).markAfter(window, 5, others), 6);
  const messages = seen(8, 9);
  assert.equal(messages.markAfter(window, 5, others), 5);
  for (const seq of [6, 7]) messages.add(seq);
  assert.equal(messages.markAfter(window, 5, others), 9, 'the gap is closed later');
});

test('far from the mark nothing is read', () => {
  assert.equal(seen(95, 96, 97, 98, 99, 100).markAfter(open(51, 100), 5, others), 5);
});

test('own and hidden messages are no gap', () => {
  assert.equal(seen(6, 8).markAfter(open(1, 8), 5, ({ seq }) => seq === 7), 8);
  const hidden = withPage(emptyWindow(), coverOf(page(1, 20, { hidden: [6, 7, 20] }), {}, 20));
  assert.equal(seen(8, 9).markAfter(hidden, 5, others), 9);
  assert.equal(seen(...range(8, 19).map(({ seq }) => seq)).markAfter(hidden, 5, others), 20);
});
