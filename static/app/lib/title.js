// The title of the browser tab.
// This file shows the unread count in it. It must not decide what counts as unread (state/conversations.js).

import { totalUnread } from '../state/conversations.js';

export function showUnreadInTitle(store, page = document) {
  const update = () => {
    const unread = totalUnread(store.state);
    const title = unread > 0 ? `(${unread}) Greenroom` : 'Greenroom';
    if (page.title !== title) page.title = title;
  };
  update();
  return store.watch(['conversations', 'phase', 'me'], update);
}
