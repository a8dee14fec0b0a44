// Marks and typing: many calls from the screen cause few frames.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { Receipts } from '../../static/sdk/receipts.js';
import { Typing } from '../../static/sdk/typing.js';
import { FakeTime } from './support.js';

function receipts() {
  const time = new FakeTime();
  const sent = [];
  let answer = async () => ({});
  const all = new Receipts({
    time,
    request: (type, { conversation_id, seq }) => {
      sent.push(`${type} ${conversation_id} ${seq}`);
      return answer();
    },
  });
  return { all, time, sent, answerWith: (next) => (answer = next) };
}

test('a burst of marks is sent as one, and a mark never moves back', async () => {
  const { all, time, sent } = receipts();
  all.start();
  for (const seq of [3, 4, 5]) all.delivered('c', seq);
  all.read('d', 9);
  await time.advance(1000);
  all.delivered('c', 2);
  all.read('d', 9);
  await time.advance(1000);
  assert.deepEqual(sent, ['message.read d 9', 'message.delivered c 5']);
});

test('a read mark makes the delivered mark unnecessary', async () => {
  const { all, time, sent } = receipts();
  all.start();
  all.delivered('c', 5);
  all.read('c', 5);
  await time.advance(1000);
  assert.deepEqual(sent, ['message.read c 5']);
});

test('marks in a hundred conversations are sent slowly', async () => {
  const { all, time, sent } = receipts();
  all.start();
  for (let number = 0; number < 100; number += 1) all.delivered(`c${number}`, 1);
  await time.advance(1000);
  assert.ok(sent.length >= 8 && sent.length <= 40, `${sent.length} in a second`);
  await time.advance(10_000);
  assert.equal(new Set(sent).size, 100);
});

test('without a connection marks wait, and a lost mark is sent again', async () => {
  const { all, time, sent, answerWith } = receipts();
  all.read('c', 5);
  await time.advance(1000);
  assert.deepEqual(sent, []);
  answerWith(() => Promise.reject(new GreenroomError('disconnected')));
  all.start();
  await time.advance(240);
  await time.advance(20);
  all.stop();
  answerWith(async () => ({}));
  all.start();
  await time.advance(1000);
  assert.deepEqual(sent, ['message.read c 5', 'message.read c 5']);
});

test('a refused mark is not sent again', async () => {
  const { all, time, sent, answerWith } = receipts();
  answerWith(() => Promise.reject(new GreenroomError('not_a_participant')));
  all.start();
  all.read('c', 5);
  await time.advance(60_000);
  assert.equal(sent.length, 1);
});

function typing() {
  const time = new FakeTime();
  const sent = [];
  const one = new Typing({
    time,
    now: time.now,
    send: (type, { conversation_id }) => sent.push(`${type} ${conversation_id}`),
  });
  return { one, time, sent };
}

test('during typing the start is repeated, and a pause ends it', async () => {
  const { one, time, sent } = typing();
  for (let keystroke = 0; keystroke < 50; keystroke += 1) {
    one.keystroke('c');
    await time.advance(200);
  }
  assert.deepEqual(sent, ['typing.start c', 'typing.start c', 'typing.start c']);
  await time.advance(10_000);
  assert.equal(sent.at(-1), 'typing.stop c');
  assert.equal(sent.length, 4);
});

test('typing in another conversation sends a stop, sending a message does not', async () => {
  const { one, time, sent } = typing();
  one.keystroke('c');
  one.keystroke('d');
  one.sent();
  await time.advance(20_000);
  one.stop();
  assert.deepEqual(sent, ['typing.start c', 'typing.stop c', 'typing.start d']);
});

test('after a message the next start waits until the server passes it on, if the user still types', async () => {
  const { one, time, sent } = typing();
  one.keystroke('c');
  one.sent();
  one.keystroke('c');
  assert.deepEqual(sent, ['typing.start c']);
  await time.advance(2200);
  assert.deepEqual(sent, ['typing.start c', 'typing.start c']);
  one.sent();
  one.keystroke('c');
  one.stop();
  await time.advance(20_000);
  assert.equal(sent.length, 2);
});
