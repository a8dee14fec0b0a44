// The connection against a scripted socket: handshake, answers, signs of life, and every way of ending.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenroomError } from '../../static/sdk/errors.js';
import { Connection } from '../../static/sdk/socket.js';
import { FakeTime, WELCOME, fakeSockets, settle } from './support.js';

function setup({ auth = {}, random = () => 1, ...more } = {}) {
  const time = new FakeTime();
  const { FakeSocket, sockets, newest } = fakeSockets();
  const calls = [];
  const connection = new Connection({
    url: () => 'ws://host/ws',
    WebSocket: FakeSocket,
    time,
    random,
    auth: {
      token: async ({ fresh }) => {
        calls.push(fresh ? 'fresh' : 'held');
        return 'jwt';
      },
      refresh: async () => 'newer',
      ...auth,
    },
    ...more,
  });
  const states = [];
  connection.on('state', ({ state }) => states.push(state));
  const open = async () => {
    connection.connect();
    await settle();
    newest().hear({ type: 'auth.success', payload: WELCOME });
  };
  return { connection, time, sockets, newest, calls, states, open };
}

test('the handshake carries protocol, token and no subscription', async () => {
  const { connection, newest, open, states } = setup();
  await open();
  assert.equal(newest().url, 'ws://host/ws?subscribe=none');
  assert.deepEqual(newest().protocols, ['greenroom.v1', 'bearer.jwt']);
  assert.deepEqual(states, ['connecting', 'open']);
  assert.equal(connection.fileToken, 'f1');
});

test('a ticket takes the token’s place', async () => {
  const { newest, open } = setup({ ticket: async () => 'once' });
  await open();
  assert.equal(new URL(newest().url).searchParams.get('ticket'), 'once');
  assert.deepEqual(newest().protocols, ['greenroom.v1']);
});

test('an answer finds its command, an error becomes a typed one', async () => {
  const { connection, newest, open } = setup();
  await open();
  const first = connection.request('a', { x: 1 });
  const second = connection.request('b', {});
  newest().hear({
    type: 'error',
    id: newest().last('b').id,
    payload: { code: 'rate_limited', detail: 'slow', retry_after_ms: 70 },
  });
  newest().hear({ type: 'ack', id: newest().last('a').id, payload: { fine: true } });
  assert.deepEqual(await first, { fine: true });
  await assert.rejects(
    second,
    (error) =>
      error instanceof GreenroomError && error.code === 'rate_limited' && error.retryAfterMs === 70 && error.transient,
  );
});

test('frames that are no answer go on, also of unknown types; what is no frame does no harm', async () => {
  const { connection, newest, open } = setup();
  const heard = [];
  connection.on('frame', ({ type }) => heard.push(type));
  await open();
  for (const frame of ['{', '[]', 'null', '{"type":7}', '{"type":"from.the.future","payload":{}}'])
    newest().hear(frame);
  assert.deepEqual(heard, ['from.the.future']);
  assert.equal(connection.state, 'open');
});

for (const code of [4408, 4410, 1012, 1006, 1001]) {
  test(`after ${code} it comes back by itself`, async () => {
    const { connection, time, sockets, newest, open } = setup();
    await open();
    newest().end(code);
    assert.equal(connection.state, 'waiting');
    await time.advance(1000);
    assert.equal(sockets.length, 2);
  });
}

test('after 4429 it comes back, but not soon', async () => {
  const { time, sockets, newest, open } = setup();
  await open();
  newest().end(4429);
  await time.advance(4000);
  assert.equal(sockets.length, 1);
  await time.advance(4000);
  assert.equal(sockets.length, 2);
});

for (const code of [4400, 4403, 4409]) {
  test(`after ${code} it stays away until a person asks`, async () => {
    const { connection, time, sockets, newest, open } = setup();
    await open();
    newest().end(code);
    await time.advance(600_000);
    assert.equal(sockets.length, 1);
    assert.equal(connection.state, 'stopped');
    connection.connect();
    await settle();
    assert.equal(sockets.length, 2);
  });
}

test('after 4401 it gets a fresh token first, and only then', async () => {
  const { time, calls, newest, open } = setup();
  await open();
  newest().end(4401);
  await time.advance(1000);
  newest().hear({ type: 'auth.success', payload: WELCOME });
  newest().end(1006);
  await time.advance(5000);
  assert.deepEqual(calls, ['held', 'fresh', 'held']);
});

test('a login that is gone ends the trying', async () => {
  const { connection, time, sockets } = setup({
    auth: { token: () => Promise.reject(new GreenroomError('signed_out')) },
  });
  connection.connect();
  await time.advance(100_000);
  assert.equal(sockets.length, 0);
  assert.equal(connection.state, 'stopped');
});

test('waits grow while the server is away and start small after a connection that lasted', async () => {
  const { connection, time, newest, open } = setup();
  const waits = [];
  connection.on('state', ({ state, retryAt }) => state === 'waiting' && waits.push(retryAt - time.now()));
  await open();
  await time.advance(6000);
  newest().end(1006);
  for (let round = 0; round < 3; round += 1) {
    await time.advance(waits.at(-1));
    newest().end(1006);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000]);
  await time.advance(4000);
  newest().hear({ type: 'auth.success', payload: WELCOME });
  await time.advance(6000);
  newest().end(1006);
  assert.equal(waits.at(-1), 500);
});

test('a server that lets us in and throws us out at once is not hammered', async () => {
  const { connection, time, newest, open } = setup();
  const waits = [];
  connection.on('state', ({ state, retryAt }) => state === 'waiting' && waits.push(retryAt - time.now()));
  await open();
  newest().end(1006);
  for (let round = 0; round < 4; round += 1) {
    await time.advance(waits.at(-1));
    newest().hear({ type: 'auth.success', payload: WELCOME });
    newest().end(1006);
  }
  assert.ok(waits.at(-1) > waits[0] * 4, waits.join());
});

test('the server’s own plan for a restart is kept', async () => {
  const { time, sockets, newest, open } = setup({ random: () => 0 });
  await open();
  newest().hear({ type: 'server.draining', payload: { reconnect_after_ms: 3000 } });
  newest().end(1012);
  await time.advance(2900);
  assert.equal(sockets.length, 1);
  await time.advance(200);
  assert.equal(sockets.length, 2);
});

test('it pings when nothing is heard, and gives a silent socket up', async () => {
  const { connection, time, sockets, newest, open } = setup();
  await open();
  await time.advance(21_000);
  assert.equal(newest().count('ping'), 1);
  newest().hear({ type: 'pong', payload: {} });
  await time.advance(15_000);
  assert.equal(connection.state, 'open');
  await time.advance(30_000);
  assert.equal(sockets[0].closedWith, 1000);
  assert.equal(sockets.length, 2);
});

test('a busy socket needs no ping', async () => {
  const { time, newest, open } = setup();
  await open();
  for (let second = 0; second < 60; second += 5) {
    newest().hear({ type: 'presence.update', payload: {} });
    await time.advance(5000);
  }
  assert.equal(newest().count('ping'), 0);
});

test('a socket that never says welcome is given up', async () => {
  const { connection, time, sockets } = setup();
  connection.connect();
  await time.advance(17_000);
  assert.equal(sockets.length, 2);
});

test('a broken connection fails what was waiting for an answer', async () => {
  const { connection, newest, open } = setup();
  await open();
  const answer = connection.request('message.send', {});
  newest().end(1006);
  await assert.rejects(answer, { code: 'disconnected' });
  await assert.rejects(connection.request('message.send', {}), { code: 'disconnected' });
});

test('a late word of an ended socket is not heard', async () => {
  const { connection, time, sockets, open } = setup();
  const heard = [];
  connection.on('frame', ({ type }) => heard.push(type));
  await open();
  connection.restart();
  sockets[0].hear({ type: 'message.new' });
  sockets[0].end(4403);
  await time.advance(1000);
  assert.deepEqual(heard, []);
  assert.equal(sockets.length, 2);
});

test('a token about to end is replaced on the open socket', async () => {
  const { connection, newest, sockets, open } = setup();
  let opened = 0;
  connection.on('open', () => (opened += 1));
  await open();
  newest().hear({ type: 'auth.expiring', payload: { seconds: 60 } });
  await settle();
  const auth = newest().last('auth');
  assert.deepEqual(auth.payload, { token: 'newer' });
  newest().hear({ type: 'auth.success', id: auth.id, payload: { ...WELCOME, file_token: 'f2' } });
  await settle();
  assert.equal(connection.fileToken, 'f2');
  assert.deepEqual([opened, sockets.length], [1, 1]);
});

test('signing out while connecting opens nothing', async () => {
  const { connection, sockets, time } = setup();
  connection.connect();
  connection.disconnect();
  await time.advance(60_000);
  assert.equal(sockets.length, 0);
  assert.equal(time.waiting, 0);
});
