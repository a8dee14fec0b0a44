// Unsent messages: each is sent once and in order, also after a lost connection or a reload.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { Outbox } from '../../static/sdk/outbox.js';
import { FakeTime, memoryStorage, settle } from './support.js';

function setup({ storage = memoryStorage(), user = 'me' } = {}) {
  const time = new FakeTime();
  const calls = [];
  const outbox = new Outbox({
    storage,
    time,
    random: () => 1,
    send: (entry) => new Promise((resolve, reject) => calls.push({ entry, resolve, reject })),
  });
  outbox.open(user);
  const write = (content, conversation_id = 'c') => outbox.add({ conversation_id, content });
  const texts = (id = 'c') => outbox.of(id).map(({ content }) => content);
  const states = (id = 'c') => outbox.of(id).map(({ state }) => state);
  return { outbox, storage, time, calls, write, texts, states };
}

test('each conversation sends one message at a time, in order; conversations do not wait for each other', async () => {
  const { outbox, calls, write, texts } = setup();
  outbox.start();
  write('one');
  write('two');
  write('elsewhere', 'd');
  assert.deepEqual(
    calls.map(({ entry }) => entry.content),
    ['one', 'elsewhere'],
  );
  calls[0].resolve({});
  await settle();
  assert.deepEqual(
    calls.map(({ entry }) => entry.content),
    ['one', 'elsewhere', 'two'],
  );
  assert.deepEqual(texts(), ['two']);
});

test('a message that was being sent when the connection ended is sent again first, with the same id', async () => {
  const { outbox, calls, write } = setup();
  outbox.start();
  write('one');
  write('two');
  outbox.stop();
  calls[0].reject(new GreenroomError('disconnected'));
  await settle();
  assert.equal(calls.length, 1);
  outbox.start();
  assert.equal(calls[1].entry.content, 'one');
  assert.equal(calls[1].entry.temp_id, calls[0].entry.temp_id);
});

test('messages that were written without a connection survive a reload and are sent in order', async () => {
  const before = setup();
  before.write('one');
  before.write('two');
  const after = setup({ storage: before.storage });
  assert.deepEqual(after.texts(), ['one', 'two']);
  after.outbox.start();
  after.calls[0].resolve({});
  await settle();
  after.calls[1].resolve({});
  await settle();
  assert.deepEqual(
    after.calls.map(({ entry }) => entry.content),
    ['one', 'two'],
  );
  assert.equal(before.storage.length, 0);
});

test('another user of the device does not see the messages', () => {
  const { storage, write } = setup();
  write('private');
  assert.deepEqual(setup({ storage, user: 'other' }).texts(), []);
  assert.deepEqual(setup({ storage }).texts(), ['private']);
});

test('a refused message is marked and the next one is sent; retry keeps the id', async () => {
  const { outbox, calls, write, states, texts } = setup();
  outbox.start();
  const first = write('bad');
  write('good');
  calls[0].reject(new GreenroomError('blocked'));
  await settle();
  assert.deepEqual(states(), ['failed', 'sending']);
  assert.equal(outbox.of('c')[0].error, 'blocked');
  calls[1].resolve({});
  await settle();
  outbox.retry(first.temp_id);
  assert.equal(calls[2].entry.temp_id, first.temp_id);
  calls[2].resolve({});
  await settle();
  assert.deepEqual(texts(), []);
});

test('a failed message is still failed after a reload, and is not sent again', async () => {
  const { outbox, storage, calls, write } = setup();
  outbox.start();
  write('bad');
  calls[0].reject(new GreenroomError('blocked'));
  await settle();
  const after = setup({ storage });
  after.outbox.start();
  assert.deepEqual([after.states(), after.calls.length], [['failed'], 0]);
});

test('the outbox waits as long as the server asks, and keeps the order', async () => {
  const { outbox, time, calls, write } = setup();
  outbox.start();
  write('one');
  write('two');
  calls[0].reject(new GreenroomError('rate_limited', '', { retryAfterMs: 4000 }));
  await time.advance(3900);
  assert.equal(calls.length, 1);
  await time.advance(1000);
  assert.deepEqual(
    calls.map(({ entry }) => entry.content),
    ['one', 'one'],
  );
});

test('if the server is unavailable, the outbox tries again after growing delays', async () => {
  const { outbox, time, calls, write } = setup();
  outbox.start();
  write('one');
  for (let round = 0; round < 4; round += 1) {
    calls.at(-1).reject(new GreenroomError('unavailable'));
    await time.advance(20_000);
  }
  assert.equal(calls.length, 5);
  assert.equal(new Set(calls.map(({ entry }) => entry.temp_id)).size, 1);
});

test('a message that the server has is not sent again', async () => {
  const { outbox, calls, write } = setup();
  const entry = write('one');
  outbox.remove(entry.temp_id);
  outbox.start();
  assert.equal(calls.length, 0);
});

test('tabs share the outbox: a message that one tab adds or removes is added or removed in the other', async () => {
  const storage = memoryStorage();
  const [one, two] = [setup({ storage }), setup({ storage })];
  const entry = one.write('hello');
  two.outbox.storageChanged(`greenroom.outbox.me.${entry.temp_id}`);
  assert.deepEqual(two.texts(), ['hello']);
  one.outbox.remove(entry.temp_id);
  two.outbox.storageChanged(`greenroom.outbox.me.${entry.temp_id}`);
  assert.deepEqual(two.texts(), []);
});

test('messages can be sent when the storage is full', async () => {
  const storage = memoryStorage();
  storage.setItem = () => {
    throw new Error('quota');
  };
  const { outbox, calls, write, texts } = setup({ storage });
  write('one');
  outbox.storageChanged(null);
  assert.deepEqual(texts(), ['one']);
  outbox.start();
  calls[0].resolve({});
  await settle();
  assert.deepEqual(texts(), []);
});
