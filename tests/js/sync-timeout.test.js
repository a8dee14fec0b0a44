// A `sync` without an answer: how long the client waits, and what it does then.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WELCOME, settle } from './support.js';
import { event, setup } from './sync-support.js';

test('a sync without an answer fails and is repeated from the events that came', async () => {
  const { connection, time, names, start } = setup();
  connection.emit('open', WELCOME);
  await settle();
  connection.emit('frame', event(6));
  await time.advance(20_000);
  assert.equal(connection.restarts, 0, 'an event came');
  await time.advance(20_000);
  assert.equal(connection.restarts, 1);
  await time.advance(300_000);
  assert.equal(connection.restarts, 1, 'the failed sync has no timer any more');
  await start();
  assert.deepEqual(connection.requests.at(-1).payload.conversations, { c: 6 });
  assert.equal(names().at(-1), 'ready');
  await time.advance(300_000);
  assert.equal(connection.restarts, 1, 'the answered sync has no timer any more');
});

test('a long sync goes on while events come, up to a limit', async () => {
  const { connection, time } = setup();
  connection.emit('open', WELCOME);
  await settle();
  let rev = 5;
  for (; rev < 11; rev += 1) {
    connection.emit('frame', event(rev + 1));
    await time.advance(15_000);
  }
  assert.equal(connection.restarts, 0);
  for (; rev < 15; rev += 1) {
    connection.emit('frame', event(rev + 1));
    await time.advance(15_000);
  }
  assert.equal(connection.restarts, 1);
});

test('a request for a missing event has the same timeout', async () => {
  const { connection, time, start } = setup();
  await start();
  connection.emit('frame', event(8));
  await settle();
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 5 } });
  await time.advance(20_000);
  assert.equal(connection.restarts, 1);
});
