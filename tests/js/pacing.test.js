// Coming back when something failed: never in step with the other clients of a server, and slower the longer it lasts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { Connection } from '../../static/sdk/socket.js';
import { FakeTime, WELCOME, fakeSockets, settle } from './support.js';
import { setup } from './sync-support.js';

/** The waits of a client whose every connection ends like this, where chance is always the same. */
async function waits(code, random) {
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
  const found = [];
  connection.on('state', ({ state, retryAt }) => state === 'waiting' && found.push(retryAt - time.now()));
  connection.connect();
  await settle();
  newest().hear({ type: 'auth.success', payload: WELCOME });
  for (let round = 0; round < 4; round += 1) {
    newest().end(code);
    await time.advance(found.at(-1));
  }
  return found;
}

for (const code of [1006, 1012]) {
  test(`after ${code} clients come back at random within a time that grows`, async () => {
    assert.deepEqual(await waits(code, 1), [500, 1000, 2000, 4000]);
    assert.deepEqual(await waits(code, 0.5), [250, 500, 1000, 2000]);
    assert.deepEqual(await waits(code, 0), [0, 0, 0, 0]);
  });
}

/** The pauses between the attempts to load a conversation anew, all of which fail. */
async function pauses(random) {
  const tries = [];
  let fails = true;
  const { connection, time, names, start } = setup({
    random: () => random,
    api: {
      conversation: async (id) => {
        tries.push(time.now());
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
  return tries.slice(1).map((at, index) => at - tries[index]);
}

test('a conversation that cannot be loaded is tried again at random, later each time, and anew after a success', async () => {
  const late = await pauses(1);
  assert.deepEqual(late.slice(0, 4), [3000, 5000, 9000, 17_000]);
  assert.deepEqual(late.slice(-2), [3000, 5000]);
  const soon = await pauses(0.25);
  assert.deepEqual(soon.slice(0, 3), [1500, 2000, 3000]);
});
