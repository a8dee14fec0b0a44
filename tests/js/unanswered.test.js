// A sync that the server does not answer: how long it is waited for, and what comes then.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WELCOME, settle } from './support.js';
import { event, setup } from './sync-support.js';

test('a sync that gets no answer in time fails and is repeated from what came', async () => {
  const { connection, time, names, start } = setup();
  connection.emit('open', WELCOME);
  await settle();
  connection.emit('frame', event(6));
  await time.advance(20_000);
  assert.equal(connection.restarts, 0, 'something came');
  await time.advance(20_000);
  assert.equal(connection.restarts, 1);
  await time.advance(300_000);
  assert.equal(connection.restarts, 1, 'the failed one is forgotten');
  await start();
  assert.deepEqual(connection.requests.at(-1).payload.conversations, { c: 6 });
  assert.equal(names().at(-1), 'ready');
  await time.advance(300_000);
  assert.equal(connection.restarts, 1, 'and the answered one is not watched any more');
});

test('a long sync goes on while events come, and has an end', async () => {
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

test('what asks for a missing event is watched as well', async () => {
  const { connection, time, start } = setup();
  await start();
  connection.emit('frame', event(8));
  await settle();
  assert.deepEqual(connection.requests.at(-1).payload, { conversations: { c: 5 } });
  await time.advance(20_000);
  assert.equal(connection.restarts, 1);
});
