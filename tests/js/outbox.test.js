// Messages on their way out: once, in order, across lost connections and reloads.

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

test('one at a time per conversation, in the order of writing; conversations do not wait for each other', async () => {
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

test('what was under way when the connection ended is sent again under the same id, before what came later', async () => {
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

test('written without a connection, it survives a reload and goes out in order', async () => {
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

test('another user of the device sees none of it', () => {
  const { storage, write } = setup();
  write('private');
  assert.deepEqual(setup({ storage, user: 'other' }).texts(), []);
  assert.deepEqual(setup({ storage }).texts(), ['private']);
});

test('a refusal marks the message and lets the next one pass; retry keeps its id', async () => {
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

test('a failed message is still failed after a reload, and is not sent by itself', async () => {
  const { outbox, storage, calls, write } = setup();
  outbox.start();
  write('bad');
  calls[0].reject(new GreenroomError('blocked'));
  await settle();
  const after = setup({ storage });
  after.outbox.start();
  assert.deepEqual([after.states(), after.calls.length], [['failed'], 0]);
});

test('when the server asks for patience it waits that long and the order holds', async () => {
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

test('an unavailable server is asked again, each time later', async () => {
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

test('a message the server is known to have is not sent again', async () => {
  const { outbox, calls, write } = setup();
  const entry = write('one');
  outbox.remove(entry.temp_id);
  outbox.start();
  assert.equal(calls.length, 0);
});

test('tabs share: what one finished the other drops, what one wrote the other takes up', async () => {
  const storage = memoryStorage();
  const [one, two] = [setup({ storage }), setup({ storage })];
  const entry = one.write('hello');
  two.outbox.storageChanged(`greenroom.outbox.me.${entry.temp_id}`);
  assert.deepEqual(two.texts(), ['hello']);
  one.outbox.remove(entry.temp_id);
  two.outbox.storageChanged(`greenroom.outbox.me.${entry.temp_id}`);
  assert.deepEqual(two.texts(), []);
});

test('a full storage does not stop anybody from writing', async () => {
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
