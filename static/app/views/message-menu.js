// The menu of a message.
// This file contains the menu, with only what the user may do, and asks before a message is deleted. It must not
// contain the permissions (the server checks them), or how a menu works (menu.js).

import { copyText } from '../lib/clipboard.js';
import { mayDeleteOthers, mayPin, mayWrite } from '../lib/rights.js';
import { selectText } from '../lib/select-text.js';
import { isTouch } from '../lib/touch.js';
import { openEmojiPicker, quickRow } from './emoji-picker.js';
import { askDialog } from './dialog.js';
import { openMenu } from './menu.js';
import { openHistory, openReactors, openReceipts } from './message-info.js';
import { toastOnError, showToast } from './toast.js';

/**
 * Opens the menu of a message.
 * @param {object} item the message
 * @param {Element} at the element beside which the menu opens
 * @param {object} app
 * @param {{onReply: Function, onEdit: Function}} listeners
 */
export function openMessageMenu(item, at, app, { onReply, onEdit }) {
  const { store, actions } = app;
  const conversation = store.state.conversations.get(item.conversation_id);
  if (!conversation) return;
  const own = item.sender_id === store.state.me?.id;
  const isPresent = !item.deleted_at;
  const canReply = mayWrite(conversation) && isPresent;
  const react = (emoji) => reactTo(item, emoji, !reactedWith(item).has(emoji), app);

  openMenu({
    label: 'Message actions',
    at,
    header: (close) =>
      canReply &&
      quickRow({
        chosen: reactedWith(item),
        onChoose: (emoji) => close(() => react(emoji)),
        onMore: () => close(() => openEmojiPicker({ at, onChoose: react })),
      }),
    items: [
      canReply && { label: 'Reply', icon: 'reply', run: () => onReply(item) },
      canReply && { label: 'React', icon: 'reaction', run: () => openEmojiPicker({ at, onChoose: react }) },
      canReply && mayEdit(item, own) && { label: 'Edit', icon: 'edit', run: () => onEdit(item) },
      isPresent && item.content && { label: 'Copy', icon: 'copy', run: () => copy(item) },
      isPresent && item.content && isTouch() && { label: 'Select text', icon: 'edit', run: () => selectText(at) },
      isPresent &&
        mayPin(conversation) && {
          label: item.pinned ? 'Unpin' : 'Pin',
          icon: 'pin',
          run: () => toastOnError(actions.pinMessage(item, !item.pinned)),
        },
      isPresent &&
        item.reactions.length > 0 && { label: 'Reactions', icon: 'people', run: () => openReactors(item, app) },
      isPresent && own && { label: 'Receipts', icon: 'checks', run: () => openReceipts(item, app) },
      isPresent && item.edited_at && { label: 'History', icon: 'history', run: () => openHistory(item, app) },
      {
        label: 'Delete',
        icon: 'trash',
        danger: true,
        run: () => deleteMessage(item, isPresent && (own || mayDeleteOthers(conversation)), app),
      },
    ],
  });
}

/** Whether the user can edit a message: only own messages with text. */
export function mayEdit(item, own) {
  return own && !item.deleted_at && item.content !== '' && item.seq > 0;
}

export function reactTo(item, emoji, on, { actions }) {
  return toastOnError(actions.react(item, emoji, on));
}

function reactedWith({ reactions }) {
  return new Set(reactions.filter(({ me }) => me).map(({ emoji }) => emoji));
}

async function copy({ content }) {
  showToast((await copyText(content)) ? 'Copied.' : 'This browser does not let the page copy.');
}

async function deleteMessage(item, forEveryone, { actions }) {
  const scope = await askDialog({
    title: 'Delete this message?',
    text: forEveryone
      ? 'For everyone: its text is gone for all, and a note stays in its place. For you: only you no longer see it.'
      : 'It disappears for you. The others keep it.',
    choices: [
      forEveryone && { value: 'everyone', label: 'Delete for everyone', danger: true },
      { value: 'me', label: 'Delete for me', danger: !forEveryone },
    ],
  });
  if (scope) await toastOnError(actions.deleteMessage(item, scope));
}
