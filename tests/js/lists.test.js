// The keyed list, the rows of a message list, texts and routes: the pure functions of the app.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyedList } from '../../static/app/lib/keyed.js';
import { initials, isBlank, isEmojiOnly, nameList, preview, scalarCount } from '../../static/app/lib/text.js';
import { ago, dayName, shortTime } from '../../static/app/lib/time.js';
import { Router, parse, to } from '../../static/app/router.js';
import { roomRows } from '../../static/app/views/rows.js';

/** The part of a DOM parent that the keyed list uses. Counts the insertions. */
class FakeParent {
  children = [];
  moves = 0;

  get firstChild() {
    return this.children[0] ?? null;
  }

  insertBefore(element, next) {
    this.moves += 1;
    this.removeChild(element);
    this.children.splice(next ? this.children.indexOf(next) : this.children.length, 0, element);
  }

  removeChild(element) {
    const index = this.children.indexOf(element);
    if (index !== -1) this.children.splice(index, 1);
  }

  createElement(name) {
    const parent = this;
    return {
      name,
      get nextSibling() {
        return parent.children[parent.children.indexOf(this) + 1] ?? null;
      },
      remove() {
        parent.removeChild(this);
      },
    };
  }
}

function list() {
  const parent = new FakeParent();
  const show = (keys) =>
    keyedList(parent, keys, {
      key: (item) => item,
      create: (item) => parent.createElement(item),
      update: (element, item) => (element.updated = item),
    });
  return { parent, show, names: () => parent.children.map(({ name }) => name) };
}

test('a keyed list shows any change of its items and keeps each element', () => {
  const { parent, show, names } = list();
  show(['a', 'b', 'c', 'd']);
  const elements = new Map(parent.children.map((element) => [element.name, element]));
  for (const order of [['d', 'a', 'b', 'c'], ['b'], ['x', 'b', 'y'], ['y', 'x', 'b'], [], ['a', 'b']]) {
    show(order);
    assert.deepEqual(names(), order);
  }
  show(['d', 'c', 'b', 'a']);
  assert.notEqual(parent.children[0], elements.get('d'), 'a removed element is not used again');
});

test('elements that stay are the same, and an unchanged list is not changed in the DOM', () => {
  const { parent, show } = list();
  show(['a', 'b', 'c']);
  const [a, b, c] = parent.children;
  parent.moves = 0;
  show(['a', 'b', 'c']);
  assert.equal(parent.moves, 0);
  show(['z', 'a', 'b', 'c', 'w']);
  assert.equal(parent.moves, 2);
  assert.deepEqual(parent.children.slice(1, 4), [a, b, c]);
});

test('a repeated key is shown once', () => {
  const { show, names } = list();
  show(['a', 'b', 'a']);
  assert.deepEqual(names(), ['a', 'b']);
});

const at = (minute, day = 10) => new Date(2026, 4, day, 12, minute).toISOString();
const message = (seq, sender_id, minute, more = {}) => ({
  id: `m${seq}`,
  seq,
  sender_id,
  type: 'text',
  content: `${seq}`,
  created_at: at(minute),
  ...more,
});
const room = (more) => roomRows({ items: [], pending: [], divider: null, meId: 'me', grouped: true, ...more });

test('messages of one author within a short time form a run', () => {
  const rows = room({ items: [message(1, 'a', 0), message(2, 'a', 1), message(3, 'b', 2), message(4, 'b', 30)] });
  assert.deepEqual(
    rows.map(({ kind, first, last }) => [kind, first, last]),
    [
      ['day', undefined, undefined],
      ['message', true, false],
      ['message', false, true],
      ['message', true, true],
      ['message', true, true],
    ],
  );
});

test('each day begins with a day line', () => {
  const rows = room({ items: [message(1, 'a', 0), message(2, 'a', 0, { created_at: at(0, 11) })] });
  assert.deepEqual(
    rows.map(({ kind }) => kind),
    ['day', 'message', 'day', 'message'],
  );
});

test('the unread line is before the first message of another user after the read mark', () => {
  const items = [
    message(1, 'a', 0),
    message(2, 'me', 1),
    message(3, null, 2, { type: 'system' }),
    message(4, 'a', 3),
    message(5, 'a', 4),
  ];
  assert.deepEqual(
    room({ items, divider: 1 })
      .map(({ key }) => key.split(' ')[0] + (key === 'unread' ? '!' : ''))
      .join(),
    'day,m,m,m,unread!,m,m',
  );
  assert.equal(
    room({ items, divider: 5 }).some(({ kind }) => kind === 'unread'),
    false,
  );
});

test('a message keeps its key when it is acknowledged, and is never shown twice', () => {
  const pending = [
    { temp_id: 't1', conversation_id: 'c', content: 'x', state: 'sending', created_at: at(3), reply_to_id: null },
  ];
  const before = room({ pending });
  const after = room({ items: [message(1, 'me', 3, { temp_id: 't1' })], pending });
  assert.equal(before.at(-1).key, after.at(-1).key);
  assert.equal(after.filter(({ kind }) => kind === 'message').length, 1);
});

test('the temp_id of another user cannot hide an own message', () => {
  const pending = [
    { temp_id: 't1', conversation_id: 'c', content: 'mine', state: 'queued', created_at: at(3), reply_to_id: null },
  ];
  const rows = room({ items: [message(1, 'mallory', 2, { temp_id: 't1' })], pending });
  assert.deepEqual(
    rows.filter(({ kind }) => kind === 'message').map(({ item }) => item.content),
    ['1', 'mine'],
  );
  assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length);
});

test('the length of a text is the number of Unicode scalar values of the trimmed text', () => {
  assert.equal(scalarCount('  a😀é  \n'), 3);
  assert.equal(scalarCount('👩‍👩‍👧'), 5);
});

test('a text is blank if all of it is invisible', () => {
  for (const text of ['', ' \n', '\u200b', '\u3164 \u2060', '\ufe0f\u200d', '\ufeff'])
    assert.ok(isBlank(text), escape(text));
  for (const text of ['.', '\u200ba', '❤\ufe0f', '👩\u200d👧', '\u0301']) assert.ok(!isBlank(text), escape(text));
});

test('a text of emoji only is recognized, digits are not', () => {
  assert.deepEqual(['😀', '👍🏽 🎉', '🇫🇷'].map(isEmojiOnly), [true, true, true]);
  assert.deepEqual(['12', 'a😀', '', '#'].map(isEmojiOnly), [false, false, false, false]);
});

test('a preview never ends inside a grapheme', () => {
  const family = '👨‍👩‍👧‍👦';
  assert.equal(preview('short'), 'short');
  assert.equal(preview('x'.repeat(101)), 'x'.repeat(100));
  assert.equal(preview(`${'x'.repeat(93)}${family}y`), `${'x'.repeat(93)}${family}`);
  assert.equal(preview(`${'x'.repeat(94)}${family}y`), 'x'.repeat(94));
  assert.equal(preview(`${'x'.repeat(99)}e\u0301`), 'x'.repeat(99));
  assert.equal(preview('🇫🇷'.repeat(60)), '🇫🇷'.repeat(50));
  assert.deepEqual([`${family} Okafor`, 'e\u0301va'].map(initials), [`${family}O`, 'E\u0301']);
});

test('names become initials and lists', () => {
  assert.deepEqual(['Ana Lindqvist', 'ben', 'a.b-c', '', '李 明'].map(initials), ['AL', 'B', 'AC', '?', '李明']);
  assert.deepEqual(
    [[], ['A'], ['A', 'B'], ['A', 'B', 'C'], ['A', 'B', 'C', 'D']].map((names) => nameList(names)),
    ['', 'A', 'A and B', 'A, B and C', 'A, B and 2 others'],
  );
});

test('times are shown in relation to now', () => {
  const now = new Date(2026, 4, 10, 12, 0);
  assert.equal(dayName(at(0), now), 'Today');
  assert.equal(dayName(at(59, 9), now), 'Yesterday');
  assert.equal(shortTime(at(59, 9), now), 'Yesterday');
  assert.equal(ago(at(0), now.getTime() + 30_000), 'just now');
  assert.equal(ago(at(0), now.getTime() + 60_000), '1 minute ago');
  assert.equal(ago(at(0), now.getTime() + 5 * 3_600_000), '5 hours ago');
});

test('back uses the history if the previous entry has the address, and else replaces the present entry', () => {
  const calls = [];
  const location = { hash: '' };
  const listeners = {};
  const history = {
    state: null,
    pushState: (state, _, hash) => void (calls.push('push'), (history.state = state), (location.hash = hash)),
    replaceState: (state, _, hash) => void (calls.push('replace'), (history.state = state), (location.hash = hash)),
    back: () => calls.push('back'),
  };
  const addEventListener = (type, listener) => (listeners[type] = listener);
  const router = new Router({ location, history, addEventListener, document: { addEventListener() {} } });
  router.go(to.conversation('a'));
  router.back(to.home());
  router.back(to.home());
  assert.deepEqual(calls.splice(0), ['push', 'back']);
  Object.assign(history, { state: null });
  location.hash = '#/';
  listeners.hashchange();
  router.go(to.conversation('a'));
  router.go(to.conversation('b'));
  router.go(to.conversation('b'));
  router.back(to.home());
  assert.deepEqual(calls, ['push', 'push', 'replace']);
  assert.deepEqual(router.route, { name: 'home' });
});

test('addresses are parsed to routes', () => {
  assert.deepEqual(parse(''), { name: 'home' });
  assert.deepEqual(parse('#/c/abc'), { name: 'conversation', id: 'abc' });
  assert.deepEqual(parse('#/sign-up'), { name: 'sign-up' });
  assert.deepEqual(parse('#/something/else'), { name: 'home' });
  assert.deepEqual(parse('#/c/%'), { name: 'home' });
  assert.deepEqual(parse('#/%/%E0%A4%A'), { name: 'home' });
});
