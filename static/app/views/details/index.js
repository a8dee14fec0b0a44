// The details of a conversation.
// This file contains the dialog and the order of its sections.

import { titleOf } from '../../state/conversations.js';
import { openDialog } from '../dialog.js';
import { about } from './about.js';
import { leaveOrBlock } from './leave-or-block.js';
import { members } from './members.js';
import { ownSettings } from './own-settings.js';
import { pins } from './pins.js';
import { stats } from './stats.js';

/**
 * Opens the details of a conversation.
 * @param {string} id
 * @param {object} app
 * @param {{onShow: (target: {id: string, seq: number}) => void}} listeners `onShow` scrolls to a message
 */
export function openDetails(id, app, { onShow }) {
  const { store } = app;
  const conversation = store.state.conversations.get(id);
  if (!conversation || document.querySelector('dialog[open]')) return;
  let stops = [];
  const title = conversation.type === 'direct' ? 'Conversation details' : 'Group details';
  openDialog({ title, className: 'details', onClose: () => stops.forEach((stop) => stop()) }, (body, close) => {
    const part = { id, app, close, onShow, conversation: () => store.state.conversations.get(id) };
    const sections = [
      about,
      ownSettings,
      ...(conversation.type === 'direct' ? [] : [members]),
      pins,
      stats,
      leaveOrBlock,
    ].map((section) => section(part));
    body.append(...sections.map(({ element }) => element));
    const update = () => {
      if (!part.conversation()) return close();
      return sections.forEach((section) => section.update());
    };
    update();
    stops = [store.watch(['conversations', 'presence', 'blocks', 'me', `members:${id}`, `pins:${id}`], update)];
    body.closest('dialog').setAttribute('aria-description', titleOf(conversation));
  });
}
