// A lock between the tabs of a browser.
// This file contains a lock that all tabs of this origin share. It must not contain what is done under the lock.

import { uuid } from './ids.js';

/** How long a tab may keep the fallback lock without renewing it, in milliseconds. Then other tabs ignore it. */
const LEASE_MS = 8_000;
/** How long a tab waits before it checks that no other tab overwrote its lease, in milliseconds. */
const CHECK_DELAY_MS = 40;

/**
 * Runs `task` while no other tab runs a task with the same lock name. Uses the Web Locks API if it exists. A page on
 * plain HTTP does not have it; there a short lease in storage is used, which is renewed while the task runs. The lease
 * is best effort: after waiting for `LEASE_MS` the task runs without it. That is enough, because the server accepts a
 * refresh token that two tabs use within ten seconds.
 * @returns {Promise<any>} the result of `task`
 */
export async function withTabLock(name, task, { locks, storage }) {
  if (locks) return locks.request(name, task);
  const owner = uuid();
  const key = `${name}.lease`;
  await acquire(storage, key, owner);
  const renewal = setInterval(() => {
    if (readLease(storage, key)?.owner === owner) writeLease(storage, key, owner);
  }, LEASE_MS / 4);
  try {
    return await task();
  } finally {
    clearInterval(renewal);
    if (readLease(storage, key)?.owner === owner) storage.removeItem(key);
  }
}

async function acquire(storage, key, owner) {
  const deadline = Date.now() + LEASE_MS;
  while (Date.now() < deadline) {
    const holder = readLease(storage, key);
    if (holder === null || holder.until < Date.now()) {
      writeLease(storage, key, owner);
      await pause(CHECK_DELAY_MS);
      if (readLease(storage, key)?.owner === owner) return;
    }
    await pause(CHECK_DELAY_MS + Math.random() * CHECK_DELAY_MS);
  }
}

function writeLease(storage, key, owner) {
  storage.setItem(key, JSON.stringify({ owner, until: Date.now() + LEASE_MS }));
}

function readLease(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
