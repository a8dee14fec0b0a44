// Signals: what depends on a change runs once, nothing else runs, and what ended never runs again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntityMap, fields } from '../../static/app/lib/entities.js';
import { Scheduler, scheduler } from '../../static/app/lib/scheduler.js';
import { computed, effect, onCleanup, sameItems, scope, signal, untracked } from '../../static/app/lib/signals.js';

/** Runs an effect and returns what it saw each time. */
function watch(read) {
  const seen = [];
  const stop = effect(() => void seen.push(read()));
  return { seen, stop };
}

test('an effect runs at once, then once for any number of changes, and not for an equal value', () => {
  const [a, b] = [signal(1), signal(10)];
  const { seen, stop } = watch(() => a.value + b.value);
  a.value = 2;
  b.value = 20;
  assert.deepEqual(seen, [11]);
  scheduler.flush();
  assert.deepEqual(seen, [11, 22]);
  a.value = 2;
  a.value = 3;
  a.value = 2;
  scheduler.flush();
  stop();
  a.value = 5;
  scheduler.flush();
  assert.equal(seen.at(-1), 22);
});

test('an effect depends only on what it read the last time', () => {
  const [isOn, value] = [signal(true), signal('a')];
  const { seen } = watch(() => (isOn.value ? value.value : 'off'));
  isOn.value = false;
  scheduler.flush();
  value.value = 'b';
  scheduler.flush();
  assert.deepEqual(seen, ['a', 'off']);
  isOn.value = true;
  scheduler.flush();
  assert.deepEqual(seen, ['a', 'off', 'b']);
});

test('a computed value is computed once for all its readers, and never without one', () => {
  const value = signal(2);
  let runs = 0;
  const square = computed(() => {
    runs += 1;
    return value.value ** 2;
  });
  assert.equal(runs, 0);
  const readers = [watch(() => square.value), watch(() => square.value + 1)];
  assert.deepEqual([square.value, square.peek(), runs], [4, 4, 1]);
  value.value = 3;
  assert.equal(square.value, 9, 'a value that is read is never old');
  scheduler.flush();
  assert.deepEqual([readers[0].seen, readers[1].seen, runs], [[4, 9], [5, 10], 2]);
  for (const { stop } of readers) stop();
  value.value = 4;
  scheduler.flush();
  assert.equal(runs, 2);
  assert.equal(square.value, 16);
  assert.equal(square.value, 16);
  assert.equal(runs, 3);
});

test('an equal result of a computed value ends the change there, through several levels', () => {
  const value = signal(1);
  const isOdd = computed(() => value.value % 2 === 1);
  const text = computed(() => (isOdd.value ? 'odd' : 'even'));
  const { seen } = watch(() => text.value);
  value.value = 3;
  scheduler.flush();
  value.value = 4;
  scheduler.flush();
  value.value = 5;
  scheduler.flush();
  assert.deepEqual(seen, ['odd', 'even', 'odd']);
});

test('two ways from one signal to an effect never show a mixture', () => {
  const name = signal('a');
  const upper = computed(() => name.value.toUpperCase());
  const pair = computed(() => `${name.value}${upper.value}`);
  const { seen } = watch(() => `${upper.value} ${pair.value} ${name.value}`);
  name.value = 'b';
  scheduler.flush();
  assert.deepEqual(seen, ['A aA a', 'B bB b']);
});

test('a list that is computed again with the same items changes nothing', () => {
  const numbers = signal([3, 1, 2]);
  const sorted = computed(() => [...numbers.value].sort(), { equals: sameItems });
  const { seen } = watch(() => sorted.value.join());
  numbers.value = [2, 3, 1];
  scheduler.flush();
  numbers.value = [2, 3];
  scheduler.flush();
  assert.deepEqual(seen, ['1,2,3', '2,3']);
});

test('a scope ends its effects, its inner scopes and its cleanups; an effect ends what it created before it runs again', () => {
  const value = signal(0);
  const log = [];
  const stop = scope(() => {
    onCleanup(() => log.push('outer'));
    scope(() => onCleanup(() => log.push('inner')));
    effect(() => {
      const outer = value.value;
      onCleanup(() => log.push(`after ${outer}`));
      effect(() => void log.push(`in ${outer} ${value.value}`));
    });
  });
  value.value = 1;
  scheduler.flush();
  assert.deepEqual(log, ['in 0 0', 'after 0', 'in 1 1']);
  log.length = 0;
  stop();
  stop();
  value.value = 2;
  scheduler.flush();
  assert.deepEqual(log, ['after 1', 'inner', 'outer']);
});

test('an effect that changes what it read runs again; one that never stops is reported', () => {
  const value = signal(0);
  const { seen } = watch(() => (value.value < 3 ? (value.value += 1) : value.value));
  scheduler.flush();
  assert.deepEqual(seen, [1, 2, 3, 3]);
  const stop = effect(() => untracked(() => value.value) && (value.value += 1));
  const endless = effect(() => (value.value += 1));
  assert.throws(() => scheduler.flush(), /without end/);
  endless();
  stop();
});

test('a computed value must not change signals, and its error reaches each reader', () => {
  const value = signal(1);
  const bad = computed(() => (value.value += 1));
  assert.throws(() => bad.value, /must not change/);
  const strict = computed(() => {
    if (value.value > 1) throw new Error('too large');
    return value.value;
  });
  assert.equal(strict.value, 1);
  value.value = 2;
  assert.throws(() => strict.value, /too large/);
  assert.throws(() => strict.value, /too large/);
  value.value = 0;
  assert.equal(strict.value, 0);
});

test('what is read inside `untracked` or by `peek` is not depended on', () => {
  const [a, b, c] = [signal(1), signal(1), signal(1)];
  const { seen } = watch(() => a.value + untracked(() => b.value) + c.peek());
  b.value = 2;
  c.value = 2;
  scheduler.flush();
  a.value = 2;
  scheduler.flush();
  assert.deepEqual(seen, [3, 6]);
});

test('a change of one entry calls only its readers; new and removed entries call those who read the keys', () => {
  const map = new EntityMap();
  map.set('a', { n: 1 }).set('b', { n: 2 });
  const a = watch(() => map.get('a')?.n);
  const missing = watch(() => map.get('c')?.n);
  const keys = watch(() => [...map.keys()].join(''));
  const sum = watch(() => [...map.values()].reduce((total, { n }) => total + n, 0));
  map.update('b', { n: 3 });
  scheduler.flush();
  assert.deepEqual([a.seen, missing.seen, keys.seen, sum.seen], [[1], [undefined], ['ab'], [3, 4]]);
  map.set('c', { n: 5 });
  map.delete('a');
  map.update('unknown', { n: 1 });
  scheduler.flush();
  assert.deepEqual(
    [a.seen, missing.seen, keys.seen, sum.seen],
    [[1, undefined], [undefined, 5], ['ab', 'bc'], [3, 4, 8]],
  );
  map.set('a', { n: 7 });
  scheduler.flush();
  assert.deepEqual([a.seen.at(-1), map.size, map.has('a'), map.peek('a')], [7, 3, true, { n: 7 }]);
  assert.deepEqual([...map].map(([id, { n }]) => `${id}${n}`).join(), 'b3,c5,a7');
});

test('a computed value without readers sees an entry that appears later', () => {
  const map = new EntityMap();
  const value = computed(() => map.get('x') ?? 'none');
  assert.equal(value.value, 'none');
  watch(() => map.get('x')).stop();
  map.set('x', 1);
  assert.equal(value.value, 1);
  map.delete('x');
  assert.equal(value.value, 'none');
});

test('each field of an object is a signal', () => {
  const state = fields({ me: null, phase: 'starting' });
  const { seen } = watch(() => state.me);
  state.phase = 'signed-in';
  scheduler.flush();
  state.me = 'ana';
  scheduler.flush();
  assert.deepEqual([seen, Object.keys(state)], [[null, 'ana'], ['me', 'phase']]);
});

test('tasks run once a frame in their order; on a page without frames a timer runs them', () => {
  const frames = [];
  const timers = new Map();
  const browser = {
    requestAnimationFrame: (run) => frames.push(run),
    cancelAnimationFrame: () => {},
    setTimeout: (run) => timers.set(timers.size + 1, run).size,
    clearTimeout: (id) => timers.delete(id),
  };
  const own = new Scheduler(browser);
  const log = [];
  const [first, second] = [1, 2].map((order) => ({ order, run: () => log.push(order) }));
  const cancelled = { order: 0, run: () => log.push('cancelled') };
  for (const task of [second, cancelled, first, second]) own.request(task);
  own.cancel(cancelled);
  assert.deepEqual([frames.length, timers.size, log], [1, 1, []]);
  frames.shift()();
  assert.deepEqual([log, timers.size], [[1, 2], 0]);
  own.request(first);
  [...timers.values()][0]();
  assert.deepEqual([log, timers.size], [[1, 2, 1], 0]);
});
