// What may be done with a conversation from the list.
// Lives here: its menu. May not live here: everything else there is to set (details/).

import { isArchived, isMuted, titleOf } from '../state/conversations.js';
import { openMenu } from './menu.js';
import { complain } from './toast.js';

export function openConversationMenu(conversation, at, { actions }) {
  const { id, my, unread_count, last_seq } = conversation;
  const muted = isMuted(conversation);
  const archived = isArchived(conversation);
  openMenu({
    label: titleOf(conversation),
    at,
    items: [
      unread_count > 0 && { label: 'Mark as read', icon: 'checks', run: () => actions.sawUpTo(id, last_seq) },
      {
        label: my.pinned ? 'No longer at the top' : 'Keep at the top',
        icon: 'pin',
        run: () => complain(actions.pinConversation(id, !my.pinned)),
      },
      {
        label: muted ? 'Unmute' : 'Mute',
        icon: muted ? 'bell' : 'muted',
        run: () => complain(muted ? actions.unmute(id) : actions.mute(id, null)),
      },
      {
        label: archived ? 'Back to the list' : 'Archive',
        icon: 'archive',
        run: () => complain(actions.archive(id, !archived)),
      },
    ],
  });
}
