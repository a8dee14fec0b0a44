// Mutes that end.
// Lives here: one timer for the next mute that runs out, because no event tells of it. May not live here: what muted means
// (state/conversations.js).

import { isMuted } from '../state/conversations.js';

/** Browsers cannot wait longer than this in one go, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** @param {(conversation: object) => void} onEnd called for each conversation that is no longer muted */
export function watchMutes(store, onEnd, time = globalThis) {
  let timer = null;
  let muted = new Map();

  const update = () => {
    const now = new Map();
    for (const conversation of store.state.conversations.values())
      if (isMuted(conversation)) now.set(conversation.id, new Date(conversation.my.muted_until).getTime());
    const ended = [...muted].filter(([id, until]) => !now.has(id) && until <= Date.now()).map(([id]) => id);
    muted = now;
    time.clearTimeout(timer);
    const next = Math.min(...now.values()) - Date.now();
    if (next !== Infinity) timer = time.setTimeout(update, Math.min(LONGEST, Math.max(0, next) + 50));
    for (const id of ended) {
      const conversation = store.state.conversations.get(id);
      if (conversation) onEnd(conversation);
    }
    if (ended.length > 0) store.touch('conversations');
  };

  const unwatch = store.watch(['conversations'], update);
  update();
  return () => {
    time.clearTimeout(timer);
    unwatch();
  };
}
