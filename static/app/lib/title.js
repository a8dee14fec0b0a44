// The title in the browser's tab.
// Lives here: the unread count in it. May not live here: what counts as unread (state/conversations.js).

import { totalUnread } from '../state/conversations.js';

export function watchTitle(store, page = document) {
  const update = () => {
    const unread = totalUnread(store.state);
    const title = unread > 0 ? `(${unread}) Greenroom` : 'Greenroom';
    if (page.title !== title) page.title = title;
  };
  update();
  return store.watch(['conversations', 'phase', 'me'], update);
}
