// The end of mutes.
// This file contains one timer for the next mute that ends, because no event announces it. It must not contain what
// muted means (state/conversations.js).

import { isMuted } from '../state/conversations.js';

/** The longest time that browsers can wait with one timer, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Calls `onEnd` with each conversation whose mute ends. @param {(conversation: object) => void} onEnd */
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
    if (next !== Infinity) timer = time.setTimeout(update, Math.min(MAX_TIMER_MS, Math.max(0, next) + 50));
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
