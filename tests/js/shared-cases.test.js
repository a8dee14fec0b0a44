// Rules that server and client share, tested with the same cases.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { addressRanges, hrefOf } from '../../static/app/lib/links.js';
import { mentionRanges } from '../../static/app/lib/mentions.js';

const cases = (name) => JSON.parse(readFileSync(new URL(`../cases/${name}.json`, import.meta.url), 'utf8'));
const slices = (text, ranges) => ranges.map(({ start, end }) => text.slice(start, end));

test('addresses begin and end as on the server', () => {
  for (const { text, links } of cases('links')) assert.deepEqual(slices(text, addressRanges(text)), links, text);
});

test('mentions are found as on the server', () => {
  const names = new Map(['bob', 'bob.smith', 'carol_2'].map((name) => [name, name]));
  for (const { text, mentions } of cases('mentions'))
    assert.deepEqual(slices(text, mentionRanges(text, names, true)), mentions, text);
  assert.deepEqual(mentionRanges('@all', names, false), []);
  assert.deepEqual(mentionRanges('hi @Bob.smith', names, false), [{ start: 3, end: 13, id: 'bob.smith' }]);
});

test('long texts are processed quickly', () => {
  for (const part of ['http://-', 'www.a/(', 'www.a_', 'http://[', 'https://a/(', '` ', '@a ', '` `` ``` ']) {
    const text = part.repeat(10_000 / part.length);
    assert.ok(addressRanges(text).length <= text.length);
    assert.ok(mentionRanges(`${text}@bob`, new Map([['bob', 'b']]), true).length <= 1);
  }
});

test('an address without a scheme is opened with https, and an invalid one is no link', () => {
  assert.equal(hrefOf('www.a.example/x'), 'https://www.a.example/x');
  assert.equal(hrefOf('http://a.example'), 'http://a.example');
  assert.equal(hrefOf('http://[:::1]'), null);
});
