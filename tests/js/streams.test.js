// The ordering rule: every revision once, in order, whatever order frames come in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Streams, USER, streamOf } from '../../static/sdk/streams.js';

const frame = (rev) => ({ type: 'message.new', stream: 'conversation', rev, payload: { conversation_id: 'c' } });
const revs = (frames) => frames.map(({ rev }) => rev);

test('the next frame is applied, an old one dropped', () => {
  const streams = new Streams();
  streams.set('c', 4);
  assert.deepEqual(revs(streams.offer('c', frame(5)).apply), [5]);
  assert.equal(streams.offer('c', frame(5)).verdict, 'old');
  assert.equal(streams.offer('c', frame(2)).verdict, 'old');
  assert.equal(streams.rev('c'), 5);
});

test('a gap is reported once and nothing beyond it is applied until it is filled', () => {
  const streams = new Streams();
  streams.set('c', 1);
  assert.equal(streams.offer('c', frame(4)).verdict, 'gap');
  assert.equal(streams.offer('c', frame(3)).verdict, 'held');
  assert.equal(streams.waiting('c'), true);
  assert.deepEqual(revs(streams.offer('c', frame(2)).apply), [2, 3, 4]);
  assert.equal(streams.waiting('c'), false);
});

test('during a reload frames wait; those inside the snapshot are dropped, those after it follow', () => {
  const streams = new Streams();
  streams.set('c', 1);
  streams.begin('c');
  for (const rev of [2, 8, 9]) assert.equal(streams.offer('c', frame(rev)).verdict, 'held');
  assert.deepEqual(revs(streams.finish('c', 7)), [8, 9]);
  assert.equal(streams.rev('c'), 9);
});

test('a reload may go back, a mere snapshot may not', () => {
  const streams = new Streams();
  streams.set('c', 50);
  streams.set('c', 40);
  assert.equal(streams.rev('c'), 50);
  streams.begin('c');
  streams.finish('c', 7);
  assert.equal(streams.rev('c'), 7);
});

test('frames of a stream never loaded are held until it is', () => {
  const streams = new Streams();
  assert.equal(streams.offer('c', frame(3)).verdict, 'unknown');
  assert.equal(streams.offer('c', frame(4)).verdict, 'held');
  assert.deepEqual(revs(streams.set('c', 2)), [3, 4]);
});

test('a new session brings everything again, so what was held is let go', () => {
  const streams = new Streams();
  streams.set('c', 1);
  streams.offer('c', frame(3));
  streams.offer('unknown', frame(3));
  streams.begin('c');
  streams.settle();
  assert.deepEqual(streams.revisions(), { c: 1 });
  assert.deepEqual(revs(streams.offer('c', frame(2)).apply), [2]);
});

test('any interleaving with repeats applies each revision once and in order', () => {
  for (let round = 0; round < 300; round += 1) {
    const streams = new Streams();
    streams.set('c', 0);
    const deliveries = Array.from({ length: 30 }, (_, index) => index + 1).flatMap((rev) =>
      Math.random() < 0.3 ? [rev, rev] : [rev],
    );
    for (let index = deliveries.length - 1; index > 0; index -= 1) {
      const other = Math.floor(Math.random() * (index + 1));
      [deliveries[index], deliveries[other]] = [deliveries[other], deliveries[index]];
    }
    const applied = deliveries.flatMap((rev) => revs(streams.offer('c', frame(rev)).apply));
    assert.deepEqual(
      applied,
      Array.from({ length: 30 }, (_, index) => index + 1),
      deliveries.join(),
    );
  }
});

test('a frame names its stream', () => {
  assert.equal(streamOf({ stream: 'user', payload: {} }), USER);
  assert.equal(streamOf(frame(1)), 'c');
  assert.equal(streamOf({ stream: 'conversation', payload: { class: { conversation_id: 'k' } } }), 'k');
  assert.equal(streamOf({ stream: 'weather', payload: {} }), null);
  assert.equal(streamOf({ stream: 'conversation' }), null);
});
