// Marks and typing: many signs from the screen, few frames on the wire.

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

test('a burst is one acknowledgement, and a mark never goes back', async () => {
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

test('what is read need not be called delivered', async () => {
  const { all, time, sent } = receipts();
  all.start();
  all.delivered('c', 5);
  all.read('c', 5);
  await time.advance(1000);
  assert.deepEqual(sent, ['message.read c 5']);
});

test('a mark in every conversation is no flood of commands', async () => {
  const { all, time, sent } = receipts();
  all.start();
  for (let number = 0; number < 100; number += 1) all.delivered(`c${number}`, 1);
  await time.advance(1000);
  assert.ok(sent.length >= 8 && sent.length <= 40, `${sent.length} in a second`);
  await time.advance(10_000);
  assert.equal(new Set(sent).size, 100);
});

test('without a connection marks wait, and a lost one is sent again', async () => {
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
  const told = [];
  const one = new Typing({
    time,
    now: time.now,
    tell: (type, { conversation_id }) => told.push(`${type} ${conversation_id}`),
  });
  return { one, time, told };
}

test('steady typing is repeated now and then, and ends after a pause', async () => {
  const { one, time, told } = typing();
  for (let stroke = 0; stroke < 50; stroke += 1) {
    one.keystroke('c');
    await time.advance(200);
  }
  assert.deepEqual(told, ['typing.start c', 'typing.start c', 'typing.start c']);
  await time.advance(10_000);
  assert.equal(told.at(-1), 'typing.stop c');
  assert.equal(told.length, 4);
});

test('changing the room stops the one, sending stops without a word', async () => {
  const { one, time, told } = typing();
  one.keystroke('c');
  one.keystroke('d');
  one.sent();
  await time.advance(20_000);
  one.stop();
  assert.deepEqual(told, ['typing.start c', 'typing.stop c', 'typing.start d']);
});

test('after a message the next start waits until the server would pass it on, if one types that long', async () => {
  const { one, time, told } = typing();
  one.keystroke('c');
  one.sent();
  one.keystroke('c');
  assert.deepEqual(told, ['typing.start c']);
  await time.advance(2200);
  assert.deepEqual(told, ['typing.start c', 'typing.start c']);
  one.sent();
  one.keystroke('c');
  one.stop();
  await time.advance(20_000);
  assert.equal(told.length, 2);
});
