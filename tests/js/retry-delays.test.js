// Delays after failures: random, so that clients do not act at the same moment, and longer after each failure.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { Connection } from '../../static/sdk/socket.js';
import { FakeTime, WELCOME, fakeSockets, settle } from './support.js';
import { setup } from './sync-support.js';

/** Returns the delays of a client whose every connection closes with `code`. `random` is constant. */
async function reconnectDelays(code, random) {
  const time = new FakeTime();
  const { FakeSocket, newest } = fakeSockets();
  const auth = { token: async () => 'jwt', refresh: async () => 'newer' };
  const connection = new Connection({
    url: () => 'ws://host/ws',
    WebSocket: FakeSocket,
    time,
    random: () => random,
    auth,
  });
  const delays = [];
  connection.on('state', ({ state, retryAt }) => state === 'waiting' && delays.push(retryAt - time.now()));
  connection.connect();
  await settle();
  newest().receive({ type: 'auth.success', payload: WELCOME });
  for (let round = 0; round < 4; round += 1) {
    newest().end(code);
    await time.advance(delays.at(-1));
  }
  return delays;
}

for (const code of [1006, 1012]) {
  test(`after ${code} clients reconnect after a random delay with a growing upper bound`, async () => {
    assert.deepEqual(await reconnectDelays(code, 1), [500, 1000, 2000, 4000]);
    assert.deepEqual(await reconnectDelays(code, 0.5), [250, 500, 1000, 2000]);
    assert.deepEqual(await reconnectDelays(code, 0), [0, 0, 0, 0]);
  });
}

/** Returns the pauses between the attempts to reload a conversation. All attempts fail, except one after 20 s. */
async function reloadPauses(random) {
  const attempts = [];
  let fails = true;
  const { connection, time, names, start } = setup({
    random: () => random,
    api: {
      conversation: async (id) => {
        attempts.push(time.now());
        if (fails) throw new GreenroomError('network');
        return { id, last_rev: 9 };
      },
    },
  });
  await start();
  const reset = { type: 'sync.reset', payload: { conversation_id: 'c', last_rev: 8 } };
  connection.emit('frame', reset);
  await time.advance(20_000);
  fails = false;
  await time.advance(60_000);
  assert.ok(names().includes('reload'));
  fails = true;
  connection.emit('frame', reset);
  await time.advance(10_000);
  return attempts.slice(1).map((at, index) => at - attempts[index]);
}

test('a failed reload is repeated after random, growing delays, which start again after a success', async () => {
  const late = await reloadPauses(1);
  assert.deepEqual(late.slice(0, 4), [3000, 5000, 9000, 17_000]);
  assert.deepEqual(late.slice(-2), [3000, 5000]);
  const soon = await reloadPauses(0.25);
  assert.deepEqual(soon.slice(0, 3), [1500, 2000, 3000]);
});
