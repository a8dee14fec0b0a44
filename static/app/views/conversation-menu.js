// The menu of a conversation in the list.
// This file contains the menu. It must not contain the other settings of a conversation (details/).

import { isArchived, isMuted, titleOf } from '../state/conversations.js';
import { openMenu } from './menu.js';
import { toastOnError } from './toast.js';

export function openConversationMenu(conversation, at, { actions }) {
  const { id, my, unread_count, last_seq } = conversation;
  const muted = isMuted(conversation);
  const archived = isArchived(conversation);
  openMenu({
    label: titleOf(conversation),
    at,
    items: [
      unread_count > 0 && { label: 'Mark as read', icon: 'checks', run: () => actions.markRead(id, last_seq) },
      {
        label: my.pinned ? 'No longer at the top' : 'Keep at the top',
        icon: 'pin',
        run: () => toastOnError(actions.pinConversation(id, !my.pinned)),
      },
      {
        label: muted ? 'Unmute' : 'Mute',
        icon: muted ? 'bell' : 'muted',
        run: () => toastOnError(muted ? actions.unmute(id) : actions.mute(id, null)),
      },
      {
        label: archived ? 'Back to the list' : 'Archive',
        icon: 'archive',
        run: () => toastOnError(actions.archive(id, !archived)),
      },
    ],
  });
}
