// The pure functions of the SDK: backoff, closing codes and ids.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../static/sdk/backoff.js';
import { decideAfterClose } from '../../static/sdk/close-codes.js';
import { uuid } from '../../static/sdk/ids.js';

test('the upper bound doubles up to the cap, and starts again after a reset', () => {
  const backoff = new Backoff({ base: 100, cap: 1000, random: () => 1 });
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map(() => backoff.next()),
    [100, 200, 400, 800, 1000, 1000],
  );
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test('the delay is random between zero and the upper bound', () => {
  assert.equal(new Backoff({ base: 100, random: () => 0 }).next(), 0);
  assert.equal(new Backoff({ base: 100, random: () => 0.25 }).next(), 25);
});

test('the delay does not overflow after a thousand failures', () => {
  const backoff = new Backoff({ base: 1, cap: 5000, random: () => 1 });
  for (let index = 0; index < 1000; index += 1) backoff.next();
  assert.equal(backoff.next(), 5000);
});

test('each closing code has its action', () => {
  const expected = {
    4408: 'retry',
    4410: 'retry',
    4429: 'retry',
    1012: 'retry',
    1006: 'retry',
    1001: 'retry',
    4401: 'refresh',
    4400: 'stay',
    4403: 'stay',
    4409: 'stay',
  };
  for (const [code, action] of Object.entries(expected))
    assert.equal(decideAfterClose(Number(code)).action, action, code);
});

test('after flooding the client waits at least a second', () => {
  assert.ok(decideAfterClose(4429).minDelayMs >= 1000);
  assert.equal(decideAfterClose(1006).minDelayMs, 0);
});

test('ids are version 4 UUIDs also without randomUUID', () => {
  const plain = { getRandomValues: (bytes) => crypto.getRandomValues(bytes) };
  const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  assert.match(uuid(plain), shape);
  assert.match(uuid(), shape);
  assert.notEqual(uuid(plain), uuid(plain));
});
