// What may be done with a message.
// Lives here: its menu, with only what the user may do, and asking before something is deleted. May not live here: the
// rules that count (the server's), or how a menu works (menu.js).

import { copyText } from '../lib/clipboard.js';
import { mayDeleteOthers, mayPin, mayWrite } from '../lib/rights.js';
import { openEmojiPicker, quickRow } from './emoji-picker.js';
import { askDialog } from './dialog.js';
import { openMenu } from './menu.js';
import { openHistory, openReactors, openReceipts } from './message-info.js';
import { complain, say } from './toast.js';

/**
 * @param {object} item the message
 * @param {Element} at what the menu stands beside
 * @param {object} app
 * @param {{onReply: Function, onEdit: Function}} listeners
 */
export function openMessageMenu(item, at, app, { onReply, onEdit }) {
  const { store, actions } = app;
  const conversation = store.state.conversations.get(item.conversation_id);
  if (!conversation) return;
  const own = item.sender_id === store.state.me?.id;
  const there = !item.deleted_at;
  const write = mayWrite(conversation) && there;
  const react = (emoji) => reactTo(item, emoji, !reactedWith(item).has(emoji), app);

  openMenu({
    label: 'Message actions',
    at,
    header: (close) =>
      write &&
      quickRow({
        chosen: reactedWith(item),
        onChoose: (emoji) => close(() => react(emoji)),
        onMore: () => close(() => openEmojiPicker({ at, onChoose: react })),
      }),
    items: [
      write && { label: 'Reply', icon: 'reply', run: () => onReply(item) },
      write && { label: 'React', icon: 'reaction', run: () => openEmojiPicker({ at, onChoose: react }) },
      write && mayEdit(item, own) && { label: 'Edit', icon: 'edit', run: () => onEdit(item) },
      there && item.content && { label: 'Copy', icon: 'copy', run: () => copy(item) },
      there &&
        mayPin(conversation) && {
          label: item.pinned ? 'Unpin' : 'Pin',
          icon: 'pin',
          run: () => complain(actions.pinMessage(item, !item.pinned)),
        },
      there && item.reactions.length > 0 && { label: 'Reactions', icon: 'people', run: () => openReactors(item, app) },
      there && own && { label: 'Receipts', icon: 'checks', run: () => openReceipts(item, app) },
      there && item.edited_at && { label: 'History', icon: 'history', run: () => openHistory(item, app) },
      {
        label: 'Delete',
        icon: 'trash',
        danger: true,
        run: () => remove(item, there && (own || mayDeleteOthers(conversation)), app),
      },
    ],
  });
}

/** Text of one's own; what has none has nothing to edit. */
export function mayEdit(item, own) {
  return own && !item.deleted_at && item.content !== '' && item.seq > 0;
}

export function reactTo(item, emoji, on, { actions }) {
  return complain(actions.react(item, emoji, on));
}

function reactedWith({ reactions }) {
  return new Set(reactions.filter(({ me }) => me).map(({ emoji }) => emoji));
}

async function copy({ content }) {
  say((await copyText(content)) ? 'Copied.' : 'This browser does not let the page copy.');
}

async function remove(item, forEveryone, { actions }) {
  const who = await askDialog({
    title: 'Delete this message?',
    text: forEveryone
      ? 'For everyone: its text is gone for all, and a note stays in its place. For you: only you no longer see it.'
      : 'It disappears for you. The others keep it.',
    choices: [
      forEveryone && { value: 'everyone', label: 'Delete for everyone', danger: true },
      { value: 'me', label: 'Delete for me', danger: !forEveryone },
    ],
  });
  if (who) await complain(actions.deleteMessage(item, who));
}
