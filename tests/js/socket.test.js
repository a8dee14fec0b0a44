// The connection with a fake socket: handshake, answers, heartbeat, and every way of closing.

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
        calls.push(fresh ? 'fresh' : 'present');
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
    newest().receive({ type: 'auth.success', payload: WELCOME });
  };
  return { connection, time, sockets, newest, calls, states, open };
}

test('the handshake contains the protocol and the token, and no subscription', async () => {
  const { connection, newest, open, states } = setup();
  await open();
  assert.equal(newest().url, 'ws://host/ws?subscribe=none');
  assert.deepEqual(newest().protocols, ['greenroom.v1', 'bearer.jwt']);
  assert.deepEqual(states, ['connecting', 'open']);
  assert.equal(connection.fileToken, 'f1');
});

test('a ticket replaces the token', async () => {
  const { newest, open } = setup({ ticket: async () => 'once' });
  await open();
  assert.equal(new URL(newest().url).searchParams.get('ticket'), 'once');
  assert.deepEqual(newest().protocols, ['greenroom.v1']);
});

test('an answer resolves its command, an error rejects it with a GreenroomError', async () => {
  const { connection, newest, open } = setup();
  await open();
  const first = connection.request('a', { x: 1 });
  const second = connection.request('b', {});
  newest().receive({
    type: 'error',
    id: newest().last('b').id,
    payload: { code: 'rate_limited', detail: 'slow', retry_after_ms: 70 },
  });
  newest().receive({ type: 'ack', id: newest().last('a').id, payload: { fine: true } });
  assert.deepEqual(await first, { fine: true });
  await assert.rejects(
    second,
    (error) =>
      error instanceof GreenroomError && error.code === 'rate_limited' && error.retryAfterMs === 70 && error.transient,
  );
});

test('frames that are not answers are emitted, also of unknown types; invalid frames are ignored', async () => {
  const { connection, newest, open } = setup();
  const received = [];
  connection.on('frame', ({ type }) => received.push(type));
  await open();
  for (const frame of ['{', '[]', 'null', '{"type":7}', '{"type":"from.the.future","payload":{}}'])
    newest().receive(frame);
  assert.deepEqual(received, ['from.the.future']);
  assert.equal(connection.state, 'open');
});

for (const code of [4408, 4410, 1012, 1006, 1001]) {
  test(`after ${code} the client reconnects by itself`, async () => {
    const { connection, time, sockets, newest, open } = setup();
    await open();
    newest().end(code);
    assert.equal(connection.state, 'waiting');
    await time.advance(1000);
    assert.equal(sockets.length, 2);
  });
}

test('after 4429 the client reconnects, but not soon', async () => {
  const { time, sockets, newest, open } = setup();
  await open();
  newest().end(4429);
  await time.advance(4000);
  assert.equal(sockets.length, 1);
  await time.advance(4000);
  assert.equal(sockets.length, 2);
});

for (const code of [4400, 4403, 4409]) {
  test(`after ${code} the client stays disconnected until the user asks`, async () => {
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

test('the client gets a fresh token after 4401, and only then', async () => {
  const { time, calls, newest, open } = setup();
  await open();
  newest().end(4401);
  await time.advance(1000);
  newest().receive({ type: 'auth.success', payload: WELCOME });
  newest().end(1006);
  await time.advance(5000);
  assert.deepEqual(calls, ['present', 'fresh', 'present']);
});

test('without a login the client does not reconnect', async () => {
  const { connection, time, sockets } = setup({
    auth: { token: () => Promise.reject(new GreenroomError('signed_out')) },
  });
  connection.connect();
  await time.advance(100_000);
  assert.equal(sockets.length, 0);
  assert.equal(connection.state, 'stopped');
});

test('delays grow while the server is unreachable, and start again after a stable connection', async () => {
  const { connection, time, newest, open } = setup();
  const delays = [];
  connection.on('state', ({ state, retryAt }) => state === 'waiting' && delays.push(retryAt - time.now()));
  await open();
  await time.advance(6000);
  newest().end(1006);
  for (let round = 0; round < 3; round += 1) {
    await time.advance(delays.at(-1));
    newest().end(1006);
  }
  assert.deepEqual(delays, [500, 1000, 2000, 4000]);
  await time.advance(4000);
  newest().receive({ type: 'auth.success', payload: WELCOME });
  await time.advance(6000);
  newest().end(1006);
  assert.equal(delays.at(-1), 500);
});

test('delays also grow when the server closes every connection at once', async () => {
  const { connection, time, newest, open } = setup();
  const delays = [];
  connection.on('state', ({ state, retryAt }) => state === 'waiting' && delays.push(retryAt - time.now()));
  await open();
  newest().end(1006);
  for (let round = 0; round < 4; round += 1) {
    await time.advance(delays.at(-1));
    newest().receive({ type: 'auth.success', payload: WELCOME });
    newest().end(1006);
  }
  assert.ok(delays.at(-1) > delays[0] * 4, delays.join());
});

test('the client reconnects when the draining server asks it to', async () => {
  const { time, sockets, newest, open } = setup({ random: () => 0 });
  await open();
  newest().receive({ type: 'server.draining', payload: { reconnect_after_ms: 3000 } });
  newest().end(1012);
  await time.advance(2900);
  assert.equal(sockets.length, 1);
  await time.advance(200);
  assert.equal(sockets.length, 2);
});

test('the client pings when no frame comes, and drops a silent socket', async () => {
  const { connection, time, sockets, newest, open } = setup();
  await open();
  await time.advance(21_000);
  assert.equal(newest().count('ping'), 1);
  newest().receive({ type: 'pong', payload: {} });
  await time.advance(15_000);
  assert.equal(connection.state, 'open');
  await time.advance(30_000);
  assert.equal(sockets[0].closedWith, 1000);
  assert.equal(sockets.length, 2);
});

test('while frames come, the client does not ping', async () => {
  const { time, newest, open } = setup();
  await open();
  for (let second = 0; second < 60; second += 5) {
    newest().receive({ type: 'presence.update', payload: {} });
    await time.advance(5000);
  }
  assert.equal(newest().count('ping'), 0);
});

test('a socket without auth.success is dropped', async () => {
  const { connection, time, sockets } = setup();
  connection.connect();
  await time.advance(17_000);
  assert.equal(sockets.length, 2);
});

test('a broken connection rejects the commands that wait for an answer', async () => {
  const { connection, newest, open } = setup();
  await open();
  const answer = connection.request('message.send', {});
  newest().end(1006);
  await assert.rejects(answer, { code: 'disconnected' });
  await assert.rejects(connection.request('message.send', {}), { code: 'disconnected' });
});

test('frames of a dropped socket are ignored', async () => {
  const { connection, time, sockets, open } = setup();
  const received = [];
  connection.on('frame', ({ type }) => received.push(type));
  await open();
  connection.restart();
  sockets[0].receive({ type: 'message.new' });
  sockets[0].end(4403);
  await time.advance(1000);
  assert.deepEqual(received, []);
  assert.equal(sockets.length, 2);
});

test('an expiring token is replaced on the open socket', async () => {
  const { connection, newest, sockets, open } = setup();
  let opened = 0;
  connection.on('open', () => (opened += 1));
  await open();
  newest().receive({ type: 'auth.expiring', payload: { seconds: 60 } });
  await settle();
  const auth = newest().last('auth');
  assert.deepEqual(auth.payload, { token: 'newer' });
  newest().receive({ type: 'auth.success', id: auth.id, payload: { ...WELCOME, file_token: 'f2' } });
  await settle();
  assert.equal(connection.fileToken, 'f2');
  assert.deepEqual([opened, sockets.length], [1, 1]);
});

test('signing out while connecting opens no socket', async () => {
  const { connection, sockets, time } = setup();
  connection.connect();
  connection.disconnect();
  await time.advance(60_000);
  assert.equal(sockets.length, 0);
  assert.equal(time.timerCount, 0);
});
