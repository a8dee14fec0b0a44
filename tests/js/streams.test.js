// The ordering rule: every revision is applied once and in order, in whatever order the frames come.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Streams, USER, streamOf } from '../../static/sdk/streams.js';

const frame = (rev) => ({ type: 'message.new', stream: 'conversation', rev, payload: { conversation_id: 'c' } });
const revs = (frames) => frames.map(({ rev }) => rev);

test('the next frame is applied, an old one is dropped', () => {
  const streams = new Streams();
  streams.setRev('c', 4);
  assert.deepEqual(revs(streams.receive('c', frame(5)).apply), [5]);
  assert.equal(streams.receive('c', frame(5)).result, 'old');
  assert.equal(streams.receive('c', frame(2)).result, 'old');
  assert.equal(streams.rev('c'), 5);
});

test('a gap is reported once and nothing beyond it is applied until it is filled', () => {
  const streams = new Streams();
  streams.setRev('c', 1);
  assert.equal(streams.receive('c', frame(4)).result, 'gap');
  assert.equal(streams.receive('c', frame(3)).result, 'held');
  assert.equal(streams.isIncomplete('c'), true);
  assert.deepEqual(revs(streams.receive('c', frame(2)).apply), [2, 3, 4]);
  assert.equal(streams.isIncomplete('c'), false);
});

test('during a reload frames are held; those inside the snapshot are dropped, those after it are applied', () => {
  const streams = new Streams();
  streams.setRev('c', 1);
  streams.beginLoad('c');
  for (const rev of [2, 8, 9]) assert.equal(streams.receive('c', frame(rev)).result, 'held');
  assert.deepEqual(revs(streams.finishLoad('c', 7)), [8, 9]);
  assert.equal(streams.rev('c'), 9);
});

test('a reload may move the revision back, a snapshot may not', () => {
  const streams = new Streams();
  streams.setRev('c', 50);
  streams.setRev('c', 40);
  assert.equal(streams.rev('c'), 50);
  streams.beginLoad('c');
  streams.finishLoad('c', 7);
  assert.equal(streams.rev('c'), 7);
});

test('frames of a stream are held until its first snapshot', () => {
  const streams = new Streams();
  assert.equal(streams.receive('c', frame(3)).result, 'unknown');
  assert.equal(streams.receive('c', frame(4)).result, 'held');
  assert.deepEqual(revs(streams.setRev('c', 2)), [3, 4]);
});

test('held frames are dropped at the end of a session, because the next one sends them again', () => {
  const streams = new Streams();
  streams.setRev('c', 1);
  streams.receive('c', frame(3));
  streams.receive('unknown', frame(3));
  streams.beginLoad('c');
  streams.dropHeld();
  assert.deepEqual(streams.revisions(), { c: 1 });
  assert.deepEqual(revs(streams.receive('c', frame(2)).apply), [2]);
});

test('frames in any order and with repetitions are applied once and in order', () => {
  for (let round = 0; round < 300; round += 1) {
    const streams = new Streams();
    streams.setRev('c', 0);
    const deliveries = Array.from({ length: 30 }, (_, index) => index + 1).flatMap((rev) =>
      Math.random() < 0.3 ? [rev, rev] : [rev],
    );
    for (let index = deliveries.length - 1; index > 0; index -= 1) {
      const other = Math.floor(Math.random() * (index + 1));
      [deliveries[index], deliveries[other]] = [deliveries[other], deliveries[index]];
    }
    const applied = deliveries.flatMap((rev) => revs(streams.receive('c', frame(rev)).apply));
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
