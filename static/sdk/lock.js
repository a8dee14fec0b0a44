// One tab at a time.
// Lives here: a lock that all tabs of this origin share. May not live here: what is done under it.

import { uuid } from './ids.js';

/** How long a tab may hold the fallback lock before others take it for crashed, in milliseconds. */
const LEASE = 8_000;
/** How long a written claim must stand before it counts, in milliseconds. */
const SETTLE = 40;

/**
 * Runs `task` while no other tab runs one under the same name. Uses the Web Locks API; a page on plain http has none,
 * so there a short lease in storage stands in, renewed while the task runs: best effort, which is enough because the
 * server forgives a token that two tabs spend within ten seconds.
 */
export async function exclusively(name, task, { locks, storage }) {
  if (locks) return locks.request(name, task);
  const owner = uuid();
  const key = `${name}.lease`;
  await acquire(storage, key, owner);
  const renewal = setInterval(() => {
    if (read(storage, key)?.owner === owner) lease(storage, key, owner);
  }, LEASE / 4);
  try {
    return await task();
  } finally {
    clearInterval(renewal);
    if (read(storage, key)?.owner === owner) storage.removeItem(key);
  }
}

async function acquire(storage, key, owner) {
  const deadline = Date.now() + LEASE;
  while (Date.now() < deadline) {
    const holder = read(storage, key);
    if (holder === null || holder.until < Date.now()) {
      lease(storage, key, owner);
      await pause(SETTLE);
      if (read(storage, key)?.owner === owner) return;
    }
    await pause(SETTLE + Math.random() * SETTLE);
  }
}

function lease(storage, key, owner) {
  storage.setItem(key, JSON.stringify({ owner, until: Date.now() + LEASE }));
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
